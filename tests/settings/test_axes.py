"""Axes as they are written, and where they take a coord check."""

import pytest

from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.errors import InputError
from umup_diag.settings.axes import AXES


def test_an_axis_doubles_or_is_listed() -> None:
    assert AXES.parse("kv_repeat=1..8") == {"kv_repeat": (1, 2, 4, 8)}
    assert AXES.convert(({"heads": "2,3"}, {"experts": [4, 2]})) == {
        "heads": (2, 3),
        "experts": (2, 4),
    }
    assert AXES.words({"heads": (2, 3)}) == ["heads=2,3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kv_repeat", "is not like kv_repeat=1..8"),
        ("kv_repeat=2", "is one value; a slope takes two or more"),
        ("depth=1,2", "has an option of its own; use --depths"),
        ("heads=a..b", "is neither like 1..8 nor like 1,2,3"),
    ],
)
def test_what_is_no_axis_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AXES.parse(text)


def test_an_axis_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="heads is given twice"):
        AXES.convert(({"heads": "2,3"}, {"heads": "2,4"}))


def test_each_axis_is_varied_by_itself_from_the_smallest() -> None:
    both = CoordcheckSettings(widths=(64, 128), depths=(2, 4, 8))
    assert both.places == [
        {"width": 64, "depth": 2},
        {"width": 128, "depth": 2},
        {"width": 64, "depth": 4},
        {"width": 64, "depth": 8},
    ]
    wider = CoordcheckSettings(depths=(2, 4), axis={"kv_repeat": (1, 2)}, width=256)
    assert wider.places == [
        {"width": 256, "depth": 2, "kv_repeat": 1},
        {"width": 256, "depth": 4, "kv_repeat": 1},
        {"width": 256, "depth": 2, "kv_repeat": 2},
    ]


def test_without_another_axis_it_is_the_usual_widths() -> None:
    assert CoordcheckSettings().places == [{"width": 128 * 2**i} for i in range(4)]
    assert CoordcheckSettings().command_line == ""
    assert CoordcheckSettings(depths=(2, 4)).base == {"width": 128, "depth": 2}
    depth = CoordcheckSettings(depths=(2, 4), axis={"heads": (1, 2)})
    assert depth.command_line == "--depths 2,4 --axis heads=1,2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 64}, "--width is where other axes are varied"),
        ({"depths": (2, 4), "build": {"depth": 3}}, "--build depth is an axis as well"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _ = CoordcheckSettings(**settings).base  # type: ignore[arg-type]
