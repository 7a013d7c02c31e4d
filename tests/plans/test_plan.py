"""Plans: what is right is read, what is wrong is named by file, line, key and nearest key."""

from pathlib import Path

import pytest

from umup_diag.checks import CHECKS
from umup_diag.checks.unit_scale.exceptions import ScaleException
from umup_diag.errors import InputError
from umup_diag.plans.document import Document
from umup_diag.plans.plan import Plan, parse, parse_defaults

GOOD = """
check = "unit-scale"
model = "gpt.model"
width = [128, 256]
build = {depth = 8}

[[exceptions]]
tensor = "head"
range = [0.0, 1.0]
reason = "so"
"""


def read(text: str, project: str = "") -> Plan:
    defaults = parse_defaults(Document(Path("pyproject.toml"), project), CHECKS)
    return parse(Document(Path("checks/it.toml"), text), CHECKS, defaults)


def test_a_plan_has_every_option_of_its_command() -> None:
    plan = read(GOOD)
    assert plan.check.name == "unit-scale"
    assert plan.out is None
    assert vars(plan.settings) == {
        "model": "gpt.model",
        "width": (128, 256),
        "seeds": 5,
        "batches": 2,
        "batch_size": 32,
        "seq_len": 8,
        "tolerance": 1.414214,
        "seed": 0,
        "device": "auto",
        "build": {"depth": 8},
        "exceptions": (ScaleException(tensor="head", low=0.0, high=1.0, reason="so"),),
    }
    assert plan.lines["width"] == 4
    assert plan.name == "it"


@pytest.mark.parametrize("widths", ['"128..512"', "[128, 256, 512]", '"512,128,256"'])
def test_widths_are_written_either_way(widths: str) -> None:
    plan = read(f'check = "coordcheck"\nwidths = {widths}')
    assert vars(plan.settings)["widths"] == (128, 256, 512)


def test_pyproject_gives_defaults_that_a_plan_overrules() -> None:
    project = "[tool.umup-diag]\nseeds = 7\n[tool.umup-diag.coordcheck]\nseeds = 9\nsteps = 2\n"
    assert vars(read('check = "unit-scale"', project).settings)["seeds"] == 7
    assert vars(read('check = "coordcheck"', project).settings)["seeds"] == 9
    assert vars(read('check = "coordcheck"', project).settings)["steps"] == 2
    assert vars(read('check = "unit-scale"\nseeds = 3', project).settings)["seeds"] == 3


WRONG = {
    "": r"checks/it.toml:1: this plan is empty",
    "# nothing\n": r"checks/it.toml:1: this plan is empty",
    "width = 3": r"checks/it.toml:1: there is no key check",
    'chekc = "unit-scale"': r"there is no key check.* There is 'chekc'",
    '\n\ncheck = "unit-scales"': r"it.toml:3: .* is no check; did you mean 'unit-scale'\?",
    'check = "unit-scale"\nwidht = 3': r"it.toml:2: unit-scale has no key 'widht'; did you mean "
    "'width'",
    'check = "unit-scale"\n\nwidths = 3': r"it.toml:3: .* did you mean 'width'",
    'check = "coordcheck"\nwidths = [128]': r"it.toml:2: widths = \[128\]: .*one width",
    'check = "unit-scale"\nwidth = "wide"': r"it.toml:2: width = 'wide': .* like 256",
    'check = "unit-scale"\nseeds = 2.5': r"it.toml:2: seeds = 2.5: write a whole number",
    'check = "unit-scale"\nseeds = true': r"it.toml:2: seeds = True: write a whole number",
    'check = "unit-scale"\nseeds = 0': r"it.toml:2: seeds = 0: .*x>=1",
    'check = "unit-scale"\ntolerance = 1': r"it.toml:2: tolerance = 1: .*x>1",
    'check = "unit-scale"\nmodel = 3': r"it.toml:2: model = 3: write a string",
    'check = "unit-scale"\nbuild = 3': r"it.toml:2: build = 3: write a table",
    'check = "unit-scale"\nseeds = \n': r"it.toml:2: this is not TOML: Invalid value",
    'check = "unit-scale': r"it.toml:1: this is not TOML",
    'check = "coordcheck"\n[[exceptions]]\ntensor = "x"': r"it.toml:2: coordcheck has no key "
    "'exceptions'",
    GOOD + '[[exceptions]]\ntensor = "a"\nrange = [0, 1]\nraeson = "b"': r"it.toml:14: "
    r"exceptions: there is no key 'raeson'; did you mean 'reason'\?",
    GOOD + '[[exceptions]]\ntensor = "a"\nrange = [0, 1]': r"it.toml:11: .*reason is missing",
    GOOD + '[[exceptions]]\ntensor = "a"\nrange = [2, 1]\nreason = "b"': r"it.toml:13: exceptions: "
    "range is",
    GOOD + '[[exceptions]]\ntensor = "a"\nrange = [0, 1]\nreason = " "': r"it.toml:14: exceptions: "
    "reason is a string that says something",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named(text: str) -> None:
    with pytest.raises(InputError, match=WRONG[text]):
        read(text)


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("[tool.umup-diag]\nsedes = 3", r"pyproject.toml:2: .* no key 'sedes'; did you mean 'seed"),
        ("[tool.umup-diag]\nseeds = 0", r"pyproject.toml:2: seeds = 0"),
        (
            "[tool.umup-diag.coordcheck]\n\nwidht = 3",
            r"pyproject.toml:3: \[tool.umup-diag.coordcheck\] has no key 'widht'",
        ),
    ],
)
def test_wrong_defaults_are_named(project: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read('check = "unit-scale"', project)
