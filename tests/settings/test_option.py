"""A setting is declared once: its type, bounds and default hold wherever it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from umup_diag.checks import CHECKS
from umup_diag.errors import InputError
from umup_diag.settings.option import REQUIRED, Settings, option, settings_of
from umup_diag.settings.values import WIDTHS, Table


@dataclass(frozen=True, kw_only=True)
class Some(Settings):
    steps: int = option("Updates.", default=3, at_least=1)
    rate: float | None = option("Rate.", default=None, at_least=0, is_open=True)
    widths: tuple[int, ...] = option("Widths.", default="64..256", type=WIDTHS)
    names: tuple[str, ...] = option("Names.", default=())
    file: Path | None = option("File.", default=None)
    exact: bool = option("Exactly.", default=False)
    build: Mapping[str, Any] = option("Arguments.", default={}, type=Table())


def test_defaults_are_converted_like_anything_else() -> None:
    assert Some().widths == (64, 128, 256)
    assert Some(widths=(128, 64)) == Some(widths="64,128")  # type: ignore[arg-type]


def test_what_is_encoded_is_decoded() -> None:
    made = Some(steps=7, rate=0.5, names=("a", "b"), file=Path("x"), exact=True)
    assert Some.decode({**made.encode(), "text_digest": "of another command"}) == made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, r"steps = 0: 0 is not in the range x>=1\."),
        ({"steps": True}, "steps = True: write a whole number"),
        ({"steps": 2.5}, "write a whole number"),
        ({"rate": 0}, r"rate = 0: 0 is not in the range x>0\."),
        ({"rate": "fast"}, "write a number"),
        ({"widths": "9"}, "one width; a slope takes two or more"),
        ({"names": "a"}, "write a list"),
        ({"file": 3}, "write a string"),
        ({"exact": 1}, "write true or false"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Some(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=8", 8),
        ("a=0.5", 0.5),
        ("a=true", True),
        ("a=[1, 2]", [1, 2]),
        ("a=lr-free", "lr-free"),
        ("a=x=y", "x=y"),
    ],
)
def test_an_entry_of_a_table_is_written_as_in_toml(text: str, value: object) -> None:
    assert Table().parse(text) == {"a": value}
    assert Some(build=(Table().parse(text), {"b": 1})).build == {"a": value, "b": 1}  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a", "a=", "=3", "1a=3"])
def test_what_is_no_entry_of_a_table(text: str) -> None:
    with pytest.raises(ValueError, match="is not like depth=8"):
        Table().parse(text)


def test_a_table_is_written_as_it_is_read() -> None:
    table = {"depth": 8, "tied": True, "rule": "lr-free", "alpha": 0.5}
    entries = map(Table().parse, Table.words(table))
    assert Table().convert(tuple(entries)) == table


@pytest.mark.parametrize("name", CHECKS)
def test_every_setting_of_a_check_has_help_that_stands_alone(name: str) -> None:
    for group in {CHECKS[name].settings, CHECKS[name].plan_settings}:
        for setting in settings_of(group):
            assert setting.option.help.endswith((".", "…"))
            default = setting.option.default
            if default is not REQUIRED:
                setting.convert(default)
