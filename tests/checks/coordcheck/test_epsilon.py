"""Where Adam's ε swallows gradients, and where it would."""

from collections.abc import Callable

import pytest

from umup_diag.checks.coordcheck.epsilon import MOST, epsilon_notes, epsilon_shares
from umup_diag.checks.coordcheck.evidence import Evidence, Facts
from umup_diag.checks.result import NoteKind
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import UpdateRule

WIDTHS, SEEDS = (64, 128, 256), 3


def evidence(
    rms: Callable[[int], float], *, eps: float, passed: float = 1.0, tensor: str = "up"
) -> Evidence:
    """One tensor whose gradients all have one size, before clipping."""
    share = {w: eps / (eps + rms(w) * passed) for w in WIDTHS}
    by_kind = {
        Kind.EPS_SHARE: share,
        Kind.EPSILON: dict.fromkeys(WIDTHS, eps),
        Kind.GRADIENT_RMS: {w: rms(w) for w in WIDTHS},
        Kind.GRADIENT_PASSED: dict.fromkeys(WIDTHS, passed),
    }
    facts = Facts(
        tensor=tensor,
        order=0,
        role=Role.HIDDEN,
        update_rule=UpdateRule.ADAM,
        is_sign=True,
        is_adam=True,
        weight_of=None,
    )
    return Evidence(
        values={(tensor, k, 1): {s: dict(v) for s in range(SEEDS)} for k, v in by_kind.items()},
        facts={tensor: facts},
        measured_at={(tensor, kind): [1] for kind in by_kind},
        order={tensor: 0},
        head_growth={},
        softmax_feeders={},
    )


def test_the_width_at_which_it_would_is_where_the_share_is_a_tenth() -> None:
    (found,) = epsilon_shares(evidence(lambda w: 1.0 / w, eps=1e-4))
    assert found.shares == pytest.approx({w: 1e-4 / (1e-4 + 1 / w) for w in WIDTHS})
    assert found.rms == pytest.approx({w: 1.0 / w for w in WIDTHS})
    assert not found.is_measured
    # ε / (ε + 1/w) = 1/10 at w = 1 / (9 ε)
    assert found.swallows_from == pytest.approx(1 / 9e-4)
    (note,) = epsilon_notes(evidence(lambda w: 1.0 / w, eps=1e-4))
    assert note.kind is NoteKind.REMARK
    assert "10% of the update of up from a width of about 1100 on." in note.text
    assert "ε 0.0001" in note.text
    assert "256: 3.9e-03 (2.5 %)" in note.text


def test_where_it_does_is_a_caution() -> None:
    swallowed = evidence(lambda w: 1.0 / w, eps=1e-3)
    (found,) = epsilon_shares(swallowed)
    assert [share > MOST for share in found.shares.values()] == [False, True, True]
    assert found.swallows_from == 128
    (note,) = epsilon_notes(swallowed)
    assert note.kind is NoteKind.CAUTION
    assert "over 10% of the first update of up" in note.text


def test_it_is_held_against_what_clipping_lets_through() -> None:
    (found,) = epsilon_shares(evidence(lambda w: 1.0 / w, eps=1e-4, passed=0.1))
    assert found.rms == pytest.approx({w: 0.1 / w for w in WIDTHS})
    assert found.swallows_from == 128


@pytest.mark.parametrize(
    ("rms", "eps"),
    [
        pytest.param(lambda _: 1e-2, 1e-5, id="gradients do not fall"),
        pytest.param(lambda w: 1.0 / w, 1e-8, id="no width anybody trains"),
    ],
)
def test_nothing_is_said_where_nothing_is_near(rms: Callable[[int], float], eps: float) -> None:
    assert epsilon_notes(evidence(rms, eps=eps)) == []


def test_an_optimizer_without_epsilon_has_none() -> None:
    without = evidence(lambda w: 1.0 / w, eps=1e-3)
    for kind in (Kind.EPS_SHARE, Kind.EPSILON):
        del without.measured_at["up", kind]  # type: ignore[attr-defined]
    assert epsilon_shares(without) == []
