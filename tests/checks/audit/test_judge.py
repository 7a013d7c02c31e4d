"""Each planted fault is named, where it is and as what it is; right models pass."""

from math import exp, inf
from pathlib import Path

import pytest
from scipy.integrate import quad

import reference_model
from tests.checks.audit.audited import audited, failing
from tests.checks.audit.planted import FAULTS, HEALTHY
from umup_diag.checks.audit.single import HARMLESS_EPS
from umup_diag.checks.result import Verdict
from umup_diag.scaling.optimizers import EPSILON_TAKES, OPTIMIZERS
from umup_diag.scaling.schemes import SCHEMES

PLANTED = "tests.checks.audit.planted:SUBJECTS."


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    found = failing(audited(PLANTED + name, tmp_path, **fault.options))
    assert found
    for (tensor, kind), (cause, fix) in found.items():
        assert fault.tensors in tensor
        assert (kind, cause, fix) == (fault.kind, fault.cause, fault.fix)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_right_model_passes(scheme: str, optimizer: str, tmp_path: Path) -> None:
    decays = OPTIMIZERS[optimizer].decays
    result = audited(
        f"reference_model:{scheme}",
        tmp_path,
        widths=(64, 128),
        target=scheme,
        optimizer=optimizer,
        weight_decay=0.1 if decays else None,
        build={"gains": True, "biases": True, "depth": 1},
    )
    assert [each.sentence for each in result.findings if each.verdict is not Verdict.PASS] == []
    kinds = {str(each.kind) for each in result.findings}
    assert {"held", "weight", "rate", "given_rate"} <= kinds
    assert ("weight_decay" in kinds) == decays


@pytest.mark.parametrize("name", HEALTHY)
def test_right_models_of_other_kinds_pass(name: str, tmp_path: Path) -> None:
    assert audited(PLANTED + name, tmp_path, seeds=5).verdict is Verdict.PASS


def test_epsilon_is_held_to_the_gradients_of_the_width_of_interest(tmp_path: Path) -> None:
    """µP's gradients fall as 1/width: an ε that does nothing at one width is above them later."""
    build = {"depth": 1}
    settled = {"optimizer": "adam", "build": build}
    at = {
        width: audited(f"{PLANTED}constant_epsilon", tmp_path, width=width, build=build, seeds=5)
        for width in (512, 2**26)
    }
    assert {width: result.verdict for width, result in at.items()} == {512: "PASS", 2**26: "FAIL"}
    causes = {cause for (_, kind), (cause, _) in failing(at[2**26]).items() if kind == "epsilon"}
    assert causes == {"ε is above the gradient's entries at this width"}
    assert audited("reference_model:mup", tmp_path, width=2**26, **settled).verdict == "PASS"


def test_epsilon_is_harmless_where_it_takes_what_the_coord_check_lets_it() -> None:
    """Normal entries; the ratio is a round number, so that the share is met to one in a hundred."""

    def lost(z: float) -> float:
        return z * HARMLESS_EPS / (z + HARMLESS_EPS) * exp(-z * z / 2)

    share, _ = quad(lost, 0, inf)  # E|z| is 1 in the same measure
    assert share == pytest.approx(EPSILON_TAKES, rel=0.01)


def test_the_table_has_settings_at_the_width_of_interest_and_their_powers(tmp_path: Path) -> None:
    result = audited(
        "reference_model:mup", tmp_path, base_width=256, optimizer="adamw", weight_decay=0.1
    )
    rows = {row["parameter"]: row for row in result.table}
    up, head = rows["layers.0.ffn.up"], rows["head"]
    assert (up["role"], up["fan_in"], up["fan_out"]) == ("hidden", 4096, 10944)
    assert (up["lr"], up["lr_power"], up["lr_ratio"]) == (
        2.0**-13 / 32,
        -1.0,
        pytest.approx(1 / 16),
    )
    assert (up["lr_times_decay"], up["lr_times_decay_power"]) == (pytest.approx(0.1), 0.0)
    assert (head["multiplier"], head["multiplier_power"]) == (pytest.approx(128 / 4096), -1.0)
    spread = 3 / (2 * 2 * 64 * 171) ** 0.5  # of the narrowest widths' standard deviations
    assert up["init_std"] == pytest.approx(4096**-0.5, rel=6 * spread)
    assert set(rows) == {row["parameter"] for row in result.table}
    assert len(rows) == len(list(reference_model.mup.build(64).parameters()))
