from math import prod, sqrt

import pytest
from unit_scaling.core.functional import transformer_residual_scaling_rule

from reference_model.residual import (
    RESIDUAL_RULES,
    ResidualMeaning,
    ResidualShape,
    residual_add_weights,
)

unit = RESIDUAL_RULES["unit"]


def contributions(shape: ResidualShape) -> tuple[float, list[float]]:
    """What the embedding and each branch contribute to the last stream, as standard deviations."""
    weights = unit(shape)
    after = [prod(w.skip for w in weights[place + 1 :]) for place in range(len(weights))]
    embedding = prod(w.skip for w in weights)
    return embedding, [w.branch * rest for w, rest in zip(weights, after, strict=True)]


@pytest.mark.parametrize("layers", [4, 32])  # L = 8 and 64 sub-layers
@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("meaning", "total"), [(ResidualMeaning.TOTAL, 1.0), (ResidualMeaning.AVERAGE, sqrt(2))]
)
def test_the_requested_ratios_are_the_realised_ones(
    layers: int, alpha: float, ratio: float, meaning: ResidualMeaning, total: float
) -> None:
    shape = ResidualShape(layers=layers, alpha=alpha, attn_ratio=ratio, meaning=meaning)
    embedding, branches = contributions(shape)
    residual = sqrt(sum(b**2 for b in branches))
    attn, ffn = (sqrt(sum(b**2 for b in branches[part::2])) for part in (0, 1))
    assert residual / embedding == pytest.approx(alpha * total)
    assert attn / ffn == pytest.approx(ratio)
    assert branches[-2] / branches[0] == pytest.approx(1)  # last attention over first


def test_the_printed_equation_22_would_not() -> None:
    """As a record of the erratum: at L = 64 and α = 4 the paper's closed form realises 1.25."""
    L, alpha = 64, 4.0
    tau = [
        alpha / sqrt(L) / (1 + ((n - 1) // 2 + (n % 2 == 0)) * alpha + ((n - 1) // 2) * alpha)
        for n in range(1, L + 1)
    ]
    embedding = prod(sqrt(1 / (t + 1)) for t in tau)
    assert sqrt(1 - embedding**2) / embedding == pytest.approx(1.25, abs=0.005)


@pytest.mark.parametrize("tau", [0.01, 1.0, 9.0])
def test_weights_have_unit_norm_and_tau_as_their_variance_ratio(tau: float) -> None:
    weights = residual_add_weights(tau)
    assert weights.branch**2 + weights.skip**2 == pytest.approx(1)
    assert weights.branch**2 / weights.skip**2 == pytest.approx(tau)


@pytest.mark.parametrize("rule", ["unit"])
def test_the_stream_keeps_unit_variance(rule: str) -> None:
    for weights in RESIDUAL_RULES[rule](ResidualShape(layers=8, alpha=3, attn_ratio=0.5)):
        assert weights.branch**2 + weights.skip**2 == pytest.approx(1)


@pytest.mark.parametrize(("alpha", "ratio"), [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5)])
def test_average_meaning_is_the_unit_scaling_library(alpha: float, ratio: float) -> None:
    theirs = transformer_residual_scaling_rule(residual_mult=alpha, residual_attn_ratio=ratio)
    ours = unit(
        ResidualShape(layers=6, alpha=alpha, attn_ratio=ratio, meaning=ResidualMeaning.AVERAGE)
    )
    for index, weights in enumerate(ours):
        tau = theirs(index, 12)  # a ratio of standard deviations
        assert weights.branch / weights.skip == pytest.approx(tau)


@pytest.mark.parametrize(("branch", "deep"), [(0.0, 1.0), (-0.5, 1 / 2), (-1.0, 1 / 4)])
def test_a_relative_rule_is_neutral_at_its_base(branch: float, deep: float) -> None:
    rule = RESIDUAL_RULES["sum"]
    (attn, ffn, *_) = rule(ResidualShape(layers=2, base_layers=2, branch=branch))
    assert [attn.branch, ffn.branch, attn.skip] == pytest.approx([1, 1, 1])
    (first, *_) = rule(ResidualShape(layers=8, base_layers=2, branch=branch))
    assert first.branch == pytest.approx(deep)


def test_a_fixed_share_is_of_the_streams_variance() -> None:
    for weights in RESIDUAL_RULES["fixed"](ResidualShape(layers=4, tau=0.3)):
        assert weights.branch**2 == pytest.approx(0.3)
        assert weights.branch**2 + weights.skip**2 == pytest.approx(1)
