"""Plans that no editor wrote: one or two lines that name the file."""

from pathlib import Path

import pytest

from umup_diag.checks import CHECKS
from umup_diag.errors import InputError
from umup_diag.plans import files
from umup_diag.plans.document import Document
from umup_diag.plans.plan import parse, parse_defaults

UNIT = 'check = "unit-scale"\n'
PLANS = {
    "nested": (UNIT + "width = " + "[" * 50_000, "nested deeper than any plan"),
    "nested and closed": (UNIT + "width = " + "[" * 300 + "]" * 300, "width = "),
    "long integer": (UNIT + "seeds = " + "9" * 5000, "cannot be read: Exceeds the limit"),
    "400 digits": (UNIT + "tolerance = " + "9" * 400, "tolerance = .*int too large"),
    "long hexadecimal": ("check = 0x" + "f" * 9000, "check = a int is no check"),
    "check is a list": ("check = []", r"check = \[\] is no check"),
    "check is a table": ("check = {a = 1}", "is no check"),
    "check is a date": ("check = 1979-05-27", "is no check"),
    "description is a number": (UNIT + "description = 3", "description is a string"),
    "model is a number": (UNIT + "model = 3", "model = 3: write a string"),
    "model is a date": (UNIT + "model = 1979-05-27", "write a string"),
    "width is a date": (UNIT + "width = 1979-05-27", "neither like 256 nor"),
    "width is a time": (UNIT + "width = 07:32:00", "neither like 256 nor"),
    "width of lists": (UNIT + "width = [[1], [2]]", "neither like 256 nor"),
    "seeds is true": (UNIT + "seeds = true", "write a whole number"),
    "tolerance is not a number": (UNIT + "tolerance = nan", "not in the range"),
    "out is empty": (UNIT + 'out = ""', "write a string"),
    "exceptions is a table": (UNIT + "[exceptions]", "under .*exceptions"),
    "exceptions of text": (UNIT + 'exceptions = ["head"]', "a table of its own"),
    "range of dates": (
        UNIT + '[[exceptions]]\ntensor = "x"\nreason = "y"\nrange = [1979-05-27, 1979-05-28]',
        "range is ",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan(name: str) -> None:
    text, message = PLANS[name]
    with pytest.raises(InputError, match=message) as caught:
        parse(Document(Path("checks/x.toml"), text), CHECKS)
    said = str(caught.value)
    assert said.startswith("checks/x.toml:")
    assert said.count("\n") <= 1
    assert len(said) < 500


@pytest.mark.parametrize(
    "text",
    [
        "tool = 3",
        "[tool]\numup-diag = 3",
        "[tool.umup-diag]\ncoordcheck = 3",
        "[[tool.umup-diag]]\nseeds = 3",
        "[tool.umup-diag]\nseeds = 1979-05-27",
    ],
)
def test_defaults(text: str) -> None:
    with pytest.raises(InputError, match=r"^pyproject.toml:\d+: "):
        parse_defaults(Document(Path("pyproject.toml"), text), CHECKS)


def test_a_plan_longer_than_any(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("#" * (files.MAX_BYTES + 1))
    with pytest.raises(InputError, match="longer than any plan"):
        files.read(path)
