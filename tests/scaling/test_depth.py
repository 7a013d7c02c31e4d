"""Every rule for depth lets each of L blocks take 1/L of the loss."""

import pytest

from umup_diag.scaling.depth import KNOWN, DepthTheory, has_rule, nearest
from umup_diag.scaling.schemes import COMPLETEP, DEPTH_MUP, MUP, SCHEMES, SPECTRAL, UMUP
from umup_diag.scaling.update_rules import UpdateRule


@pytest.mark.parametrize("rule", UpdateRule)
@pytest.mark.parametrize("scheme", [DEPTH_MUP, COMPLETEP, SPECTRAL], ids=lambda each: each.name)
def test_a_block_takes_one_part_in_l(scheme: object, rule: UpdateRule) -> None:
    assert DepthTheory(scheme=scheme, update_rule=rule).loss_change == -1.0  # type: ignore[arg-type]


def test_unit_gradients_leave_the_rate_alone() -> None:
    for rule in (UpdateRule.ADAM, UpdateRule.SGD):
        theory = DepthTheory(scheme=UMUP, update_rule=rule, true_gradient=False)
        assert theory.loss_change == theory.rate == -0.5
    assert DepthTheory(scheme=UMUP, update_rule=UpdateRule.ADAM).loss_change == -1.0


def test_schemes_that_say_nothing_of_depth() -> None:
    assert {scheme.name for scheme in SCHEMES.values() if has_rule(scheme)} == {
        "depth_mup",
        "completep",
        "spectral",
        "umup",
    }
    assert not has_rule(MUP)


@pytest.mark.parametrize("scheme", KNOWN, ids=lambda each: each.name)
@pytest.mark.parametrize("rule", [UpdateRule.ADAM, UpdateRule.SGD])
def test_a_rule_is_known_by_its_rates(scheme: object, rule: UpdateRule) -> None:
    rate = scheme.depth_lr[rule]  # type: ignore[attr-defined]
    assert nearest([(rule, rate + 0.1), (rule, rate - 0.2)]) is scheme
