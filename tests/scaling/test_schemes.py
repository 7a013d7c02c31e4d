from math import sqrt
from typing import Any

import pytest

from umup_diag.errors import InputError
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import WidthTheory
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import (
    COMPLETEP,
    DEPTH_MUP,
    MEAN_FIELD,
    MUP,
    NTK,
    SCHEMES,
    SP,
    SPECTRAL,
    UMUP,
    Scheme,
    UpdateRule,
    get,
)
from umup_diag.scaling.update_rules import RULES


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_gradients_pass_hidden_layers_unchanged(scheme: Scheme) -> None:
    """a′ + b + ½ = 0: the backward pass neither grows nor shrinks with width in any scheme."""
    hidden = scheme.rows[Role.HIDDEN]
    assert hidden.backward + hidden.init + 0.5 == 0


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_activations_pass_hidden_layers_unchanged(scheme: Scheme) -> None:
    hidden = scheme.rows[Role.HIDDEN]
    assert hidden.multiplier + hidden.init + 0.5 == 0


@pytest.mark.parametrize("role", [Role.HIDDEN, Role.OUTPUT])
def test_umup_is_mup_moved_by_abc_symmetry(role: Role) -> None:
    """The products that the symmetry leaves alone, a + b and a + c, agree (under Adam)."""
    mup, umup = MUP.rows[role], UMUP.rows[role]
    assert mup.multiplier + mup.init == umup.multiplier + umup.init
    assert mup.multiplier + mup.adam_lr == umup.multiplier + umup.adam_lr


def test_umup_departs_from_mup_in_the_embedding_rate_alone() -> None:
    mup, umup = MUP.rows[Role.INPUT], UMUP.rows[Role.INPUT]
    assert mup.multiplier + mup.init == umup.multiplier + umup.init
    assert (mup.adam_lr, umup.adam_lr) == (0.0, -0.5)


RELATIVE = [scheme for scheme in SCHEMES.values() if scheme.base_width]


@pytest.mark.parametrize("scheme", RELATIVE, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("role", Role)
def test_relative_schemes_are_sp_at_their_base(scheme: Scheme, role: Role) -> None:
    at_base: dict[str, Any] = {"fan_in": 128, "fan_out": 342, "width": 128, "layers": 2}
    ours, sp = scheme.scales(role, **at_base), SP.scales(role, **at_base)
    assert ours.init_std * ours.multiplier == pytest.approx(sp.init_std * sp.multiplier)
    assert ours.lr == pytest.approx(sp.lr)


def test_mup_at_four_times_its_base() -> None:
    hidden = MUP.scales(Role.HIDDEN, fan_in=512, fan_out=512, width=512, layers=2)
    output = MUP.scales(Role.OUTPUT, fan_in=512, fan_out=256, width=512, layers=2)
    assert hidden.init_std == pytest.approx(1 / sqrt(512))
    assert hidden.lr[UpdateRule.ADAM] == pytest.approx(1 / 4)
    assert output.init_std == pytest.approx(1 / sqrt(128))
    assert output.multiplier == pytest.approx(1 / 4)


FEATURES = [scheme for scheme in SCHEMES.values() if scheme.is_mup]


@pytest.mark.parametrize("scheme", FEATURES, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("rule", [rule for rule in UpdateRule if not RULES[rule].gradient])
@pytest.mark.parametrize("role", [Role.INPUT, Role.HIDDEN, Role.OUTPUT])
def test_every_rate_keeps_the_spectral_condition(
    scheme: Scheme, rule: UpdateRule, role: Role
) -> None:
    """Multiplier · ‖ΔW‖_R is Θ(1) (Zheng et al. 2026, condition 1), whatever the optimizer."""
    row = scheme.rows[role]
    by_design = -0.5 if (scheme, role) == (UMUP, Role.INPUT) else 0.0  # u-µP's embedding rate
    assert row.multiplier + row.lr(rule) + RULES[rule].norm[role] == by_design


@pytest.mark.parametrize("scheme", FEATURES, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("role", Role)
def test_adams_epsilon_and_sgds_rate_go_as_the_gradient_does(scheme: Scheme, role: Role) -> None:
    theory = WidthTheory(scheme=scheme, update_rule=UpdateRule.SGD)
    gradient = theory.predict(Kind.WEIGHT_GRAD, role)
    assert gradient is not None
    row = scheme.rows[role]
    assert row.eps == gradient.slope
    assert row.sgd_lr + gradient.slope == row.adam_lr


DEEP = [scheme for scheme in SCHEMES.values() if scheme.base_depth]


@pytest.mark.parametrize("scheme", DEEP, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("rule", UpdateRule)
def test_a_blocks_update_is_one_over_depth(scheme: Scheme, rule: UpdateRule) -> None:
    """Branch · ΔW = 1/L, and a gradient inside a branch carries its weight."""
    update = scheme.depth_lr[rule] + RULES[rule].gradient * scheme.branch
    assert scheme.branch + update == -1
    assert scheme.depth_eps == scheme.branch


def test_the_sources_rates_of_a_hidden_matrix() -> None:
    """arXiv 2603.00541 and 2505.01618: η, η/√n and η/n under Muon, Muon-Kimi and AdamW."""
    deep: dict[str, Any] = {"fan_in": 512, "fan_out": 512, "width": 512, "layers": 8}
    for scheme in (SPECTRAL, COMPLETEP):
        scales = scheme.scales(Role.HIDDEN, **deep)
        assert scales.lr[UpdateRule.MUON] == 1
        assert scales.lr[UpdateRule.MUON_KIMI] == pytest.approx(1 / 2)
        assert scales.lr[UpdateRule.ADAM] == pytest.approx(1 / 4)
        assert scales.lr[UpdateRule.SGD] == pytest.approx(4)
        assert scales.eps == pytest.approx(1 / 16)
    output = SPECTRAL.scales(Role.OUTPUT, **deep)
    assert output.lr[UpdateRule.MUON] == pytest.approx(2)
    assert output.lr[UpdateRule.SGD] == pytest.approx(4)


@pytest.mark.parametrize("role", Role)
def test_mean_field_is_mup_moved_by_abc_symmetry(role: Role) -> None:
    """A·θ, B/θ, C/θ under Adam and C/θ² under SGD."""
    mup, moved = MUP.rows[role], MEAN_FIELD.rows[role]
    theta = moved.multiplier - mup.multiplier
    assert moved.init == mup.init - theta
    assert moved.adam_lr == mup.adam_lr - theta
    assert moved.sgd_lr == mup.sgd_lr - 2 * theta


@pytest.mark.parametrize("width", [64, 1024])
def test_umup_is_absolute(width: int) -> None:
    down = UMUP.scales(Role.HIDDEN, fan_in=3 * width, fan_out=width, width=width, layers=2)
    embedding = UMUP.scales(Role.INPUT, fan_in=256, fan_out=width, width=width, layers=2)
    head = UMUP.scales(Role.OUTPUT, fan_in=width, fan_out=256, width=width, layers=2)
    assert (down.init_std, embedding.init_std, head.init_std) == (1, 1, 1)
    assert down.multiplier == pytest.approx(1 / sqrt(3 * width))
    assert head.multiplier == pytest.approx(1 / width)
    assert down.lr[UpdateRule.ADAM] == pytest.approx(
        1 / sqrt(3 * width) / sqrt(4)
    )  # L = 2 · layers
    assert embedding.lr[UpdateRule.ADAM] == pytest.approx(1 / sqrt(width))
    assert head.lr[UpdateRule.ADAM] == 1


def test_ntk_has_unit_weights_and_one_rate() -> None:
    hidden = NTK.scales(Role.HIDDEN, fan_in=256, fan_out=256, width=256, layers=2)
    assert (hidden.init_std, hidden.multiplier) == (1, 1 / 16)
    assert hidden.lr == dict.fromkeys(UpdateRule, 1)


def test_depth_mup_slows_hidden_layers_as_they_become_more() -> None:
    at: dict[str, Any] = {"fan_in": 128, "fan_out": 128, "width": 128}
    deep = DEPTH_MUP.scales(Role.HIDDEN, **at, layers=8)
    assert deep.lr[UpdateRule.ADAM] == pytest.approx(1 / 2)
    assert deep.lr[UpdateRule.SGD] == 1
    assert DEPTH_MUP.scales(Role.OUTPUT, **at, layers=8).lr[UpdateRule.ADAM] == 1


def test_an_unknown_scheme_is_an_error_that_lists_them() -> None:
    with pytest.raises(InputError, match="no scheme 'mμp'; there are sp, ntk, mup, mean_field"):
        get("mμp")
