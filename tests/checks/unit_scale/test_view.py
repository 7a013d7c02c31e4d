"""How a unit-scale result is told."""

import tomllib

from rich.console import Console

from tests.report.page.results import unit_scale
from umup_diag.checks.unit_scale.first_plan import first_plan
from umup_diag.checks.unit_scale.view import answer, table
from umup_diag.checks.verdict import Verdict


def test_one_bad_tensor_among_its_siblings_is_named_whole() -> None:
    result = unit_scale(Verdict.FAIL)
    [change] = answer(result).changes
    assert change.tensors == ("layers.0.attention.out",)
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table(result, False))
    assert "weight: init: layers.0.attention.out\n" in capture.get()
    assert "layers.*" not in capture.get()


def test_a_first_plan_excuses_the_one_bad_tensor_and_none_of_its_siblings() -> None:
    plan = tomllib.loads(first_plan(unit_scale(Verdict.FAIL)))
    [exception] = plan["exceptions"]
    assert (exception["tensor"], exception["kind"]) == ("layers.0.attention.out", "weight")
