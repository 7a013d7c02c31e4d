"""What is drawn, read back from the picture."""

import re
from xml.etree import ElementTree as ET

import pytest

from umup_diag.checks.result import Finding
from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import (
    Axis,
    Chart,
    Draw,
    HeatMap,
    HeatRow,
    Limit,
    Panel,
    Plot,
    Point,
    Series,
    Slope,
    Span,
    Spans,
)
from umup_diag.report.vega.render import pictures

WIDTHS = (64, 128, 256)


def drawn(panel: Panel) -> list[ET.Element]:
    """Every element of a chart's picture."""
    chart = Chart(stem="it", title="title", caption="", panels=[panel])
    made = pictures(chart, "headline")
    assert set(made) == {"it.svg", "it.png"}
    return list(ET.fromstring(made["it.svg"]).iter())


def label(element: ET.Element) -> str:
    """What a reader of the picture's marks is told."""
    return element.get("aria-label") or ""


def number(element: ET.Element, field: str) -> float:
    """A field in a mark's label."""
    found = re.search(rf"\b{field}: ([-−+.e\d]+|NaN)", label(element))
    assert found is not None, label(element)
    return float(found[1].replace("−", "-"))


def texts(elements: list[ET.Element]) -> list[str]:
    return [element.text for element in elements if element.tag.endswith("text") and element.text]


def judged(verdict: Verdict) -> Finding:
    return Finding(tensor="head", kind="gain", verdict=verdict)


def lines(verdict: Verdict, expected: float | None) -> Plot:
    """One tensor that halves with every doubling of the width, around 2^-7."""
    return Plot(
        title="gain",
        alt="",
        x=Axis("width", log2=True),
        y=Axis("gain", log2=True),
        series=[
            Series("other", [Point(w, 2.0**-7) for w in WIDTHS]),
            Series(
                "head",
                [Point(w, 1 / w) for w in WIDTHS],
                finding=judged(verdict),
                slope=Slope(expected, (-1.5, -0.5)),
            ),
        ],
    )


def test_what_fails_has_the_right_slope_and_its_interval_beside_it() -> None:
    made = drawn(lines(Verdict.FAIL, expected=-0.5))
    [dashed] = [each for each in made if each.get("stroke-dasharray") == "5,3"]
    # Through its middle, 2^-7 at width 2^7, so half an octave above at the first width, 2^6.
    assert number(dashed, "expected_y") == pytest.approx(-6.5)
    [band] = [each for each in made if "slow_y" in label(each)]
    assert number(band, "slow_y") == pytest.approx(-5.5)
    assert number(band, "shigh_y") == pytest.approx(-6.5)
    assert texts(made).count("head") == 2, "its name on a halo"
    marks = [each for each in made if "line mark" in (each.get("aria-roledescription") or "")]
    assert float(marks[-1].get("stroke-width", "0")) > float(marks[-2].get("stroke-width", "0"))


@pytest.mark.parametrize(("verdict", "expected"), [(Verdict.PASS, -0.5), (Verdict.FAIL, None)])
def test_no_slope_is_drawn_of_what_passes_or_where_none_is_known(
    verdict: Verdict, expected: float | None
) -> None:
    made = drawn(lines(verdict, expected))
    assert not [each for each in made if each.get("stroke-dasharray") == "5,3"]


def test_a_limit_at_the_top_has_room_for_its_name() -> None:
    points = [Point(at, 2.0**at) for at in range(4)]
    panel = Plot(
        title="absmax",
        alt="",
        x=Axis("updates"),
        y=Axis("absmax", log2=True),
        series=[Series("it", points, draw=Draw.LINE)],
        limits=[Limit(2.0**9, "E4M3FN max")],
    )
    [name] = [each for each in drawn(panel) if each.text == "E4M3FN max"]
    place = re.search(r"translate\(([-.\d]+),([-.\d]+)\)", name.get("transform") or "")
    assert place is not None
    assert float(place[2]) > 10, "its letters are as high as that"


def test_names_of_limits_stand_apart() -> None:
    limits = [
        Limit(2.0**-6, "E4M3FN", until=2.0**8),
        Limit(2.0**-10, "subn.", until=2.0**-6, is_bad=True),
        Limit(2.0**-14, "E5M2 min normal"),
        Limit(2.0**15, "E5M2 max"),
    ]
    rows = [Span("head", 2.0**-4, 2.0**2, [1.0], finding=judged(Verdict.PASS))]
    panel = Spans(title="input", alt="", x=Axis("size", log2=True), rows=rows, limits=limits)
    names = {each.label for each in limits}
    boxes = []
    for each in drawn(panel):
        if each.text in names:
            place = re.search(r"translate\(([-.\d]+),([-.\d]+)\)", each.get("transform") or "")
            assert place is not None
            width = 5 * len(each.text or "")
            left = float(place[1]) - (width if each.get("text-anchor") == "end" else 0)
            boxes.append((left, left + width, float(place[2])))
    assert len(boxes) == len(limits)
    for at, (left, right, y) in enumerate(boxes):
        for other_left, other_right, other_y in boxes[:at]:
            assert right <= other_left or other_right <= left or abs(y - other_y) >= 10


def test_no_room_is_red_and_marked_and_room_is_blue() -> None:
    rows = [HeatRow("a", [-8.0, 8.0]), HeatRow("b", [0.0, None]), HeatRow("c", [-4.0, None])]
    panel = HeatMap(
        title="input",
        alt="",
        columns=["0", "100"],
        column_title="updates",
        rows=rows,
        value_title="octaves",
        reach=8.0,
    )
    made = drawn(panel)
    cells = [each for each in made if (each.get("aria-roledescription") or "") == "rect mark"]
    colours = {number(each, "octaves"): each.get("fill") for each in cells}
    assert set(colours) == {-8.0, -4.0, 0.0, 8.0}, "nothing where nothing was measured"
    channels = {
        at: [int(c) for c in re.findall(r"\d+", fill or "")] for at, fill in colours.items()
    }
    assert channels[-8.0] == [178, 24, 43]
    assert channels[8.0] == [33, 102, 172]
    assert max(channels[0.0]) - min(channels[0.0]) < 8, "no colour at the middle"
    halfway = [(a + b) / 2 for a, b in zip(channels[-8.0], channels[0.0], strict=True)]
    assert channels[-4.0] == pytest.approx(halfway, abs=1), "paler, and not another colour"
    assert texts(made).count("×") == 2
