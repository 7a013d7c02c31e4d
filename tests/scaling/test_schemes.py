from math import sqrt

import pytest

from umup_diag.errors import InputError
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import (
    DEPTH_MUP,
    MUP,
    NTK,
    SCHEMES,
    SP,
    UMUP,
    Scheme,
    UpdateRule,
    get,
)


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


@pytest.mark.parametrize("scheme", [MUP, DEPTH_MUP], ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("role", Role)
def test_relative_schemes_are_sp_at_their_base(scheme: Scheme, role: Role) -> None:
    at_base = {"fan_in": 128, "fan_out": 342, "width": 128, "layers": 2}
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
    assert hidden.lr == {UpdateRule.ADAM: 1, UpdateRule.SGD: 1}


def test_depth_mup_slows_hidden_layers_as_they_become_more() -> None:
    at = {"fan_in": 128, "fan_out": 128, "width": 128}
    deep = DEPTH_MUP.scales(Role.HIDDEN, **at, layers=8)
    assert deep.lr == {UpdateRule.ADAM: pytest.approx(1 / 2), UpdateRule.SGD: 1}
    assert DEPTH_MUP.scales(Role.OUTPUT, **at, layers=8).lr[UpdateRule.ADAM] == 1


def test_an_unknown_scheme_is_an_error_that_lists_them() -> None:
    with pytest.raises(InputError, match="no scheme 'mμp'; there are sp, ntk, mup"):
        get("mμp")
