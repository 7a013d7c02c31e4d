"""The published laws: against their text, their limits, and the unit-scaling library."""

import itertools
import math

import pytest
import torch
import unit_scaling.functional as U
from torch import Tensor

from umup_diag.scaling import scale_laws
from umup_diag.scaling.scale_laws import LAWS, ScaleLaw, log_interpolate

ALPHAS = (1 / 64, 0.5, 1.0, 3.4, 64.0)
GRID: dict[str, tuple[float, ...]] = {
    "alpha": ALPHAS,
    "tau": ALPHAS,
    "seq_len": (2, 64, 4096),
    "head_dim": (16, 128),
    "size": (2, 1000),
    "vocab_size": (2, 32000),
}


def points(law: ScaleLaw) -> list[dict[str, float]]:
    values = itertools.product(*(GRID[name] for name in law.parameters))
    return [dict(zip(law.parameters, point, strict=True)) for point in values]


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_the_expression_is_the_formula(law: ScaleLaw) -> None:
    names = {**vars(math), "log_interpolate": log_interpolate}
    for point in points(law):
        assert eval(law.expression, names, point) == pytest.approx(law(**point), rel=1e-12)


def test_log_interpolate_takes_the_upper_limit_first() -> None:
    assert log_interpolate(1, 8, 2) == pytest.approx(8)
    assert log_interpolate(0, 8, 2) == pytest.approx(2)
    assert log_interpolate(0.5, 8, 2) == pytest.approx(4)


def test_harmonic_numbers_join_the_sum_to_the_expansion() -> None:
    for n in (1, 2, 31, 32, 33, 4096):
        exact = math.fsum(1 / i for i in range(1, n + 1))
        assert scale_laws.harmonic(n) == pytest.approx(exact, rel=1e-12)


def test_attention_at_the_papers_setting() -> None:
    assert scale_laws.attention_scale(seq_len=256, head_dim=64) == pytest.approx(0.1483, abs=5e-5)
    assert scale_laws.attention_scale(seq_len=1, head_dim=64) == 1.0


def test_residual_weights_have_unit_norm_and_tau_as_their_variance_ratio() -> None:
    for tau in (0.01, 1.0, 9.0):
        a, b = scale_laws.residual_add_weights(tau)
        assert a**2 + b**2 == pytest.approx(1)
        assert a**2 / b**2 == pytest.approx(tau)


def test_a_law_knows_where_it_holds() -> None:
    law = LAWS["attention"]
    assert law.covers(seq_len=256, head_dim=64, alpha=1.0)
    assert not law.covers(seq_len=256, head_dim=64, alpha=64.0)


def forward_scale(output: Tensor, plain: Tensor) -> float:
    """What the library divided by: one number for the whole tensor, by least squares."""
    return float(((plain * output).sum() / output.square().sum()).detach())


@pytest.mark.parametrize("alpha", ALPHAS)
def test_elementwise_laws_are_the_librarys(alpha: float) -> None:
    x = torch.linspace(-3, 3, 64, dtype=torch.float64, requires_grad=True)
    gate = torch.linspace(3, -2, 64, dtype=torch.float64)
    silu = x * torch.sigmoid(alpha * x)
    gelu = torch.nn.functional.gelu(alpha * x) / alpha
    for scaled, plain, forward, backward in (
        (U.silu(x, mult=alpha, constraint=None), silu, "silu", "silu.gradient"),
        (U.gelu(x, mult=alpha, constraint=None), gelu, "gelu", "gelu.gradient"),
        (U.silu_glu(gate, x, mult=alpha), gate * silu, "gated-silu", "gated-silu"),
    ):
        assert forward_scale(scaled, plain) == pytest.approx(LAWS[forward](alpha=alpha), rel=1e-9)
        (scaled_grad,) = torch.autograd.grad(scaled.sum(), x, retain_graph=True)
        (plain_grad,) = torch.autograd.grad(plain.sum(), x, retain_graph=True)
        assert forward_scale(scaled_grad, plain_grad) == pytest.approx(
            LAWS[backward](alpha=alpha), rel=1e-9
        )


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("alpha", [0.25, 1.0, 16.0])
def test_attention_laws_are_the_librarys(alpha: float, causal: bool) -> None:
    q, k, v = torch.randn(3, 1, 32, 16, dtype=torch.float64)
    plain = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=causal, scale=alpha / 16
    )
    scaled = U.scaled_dot_product_attention(q, k, v, is_causal=causal, mult=alpha)
    law = LAWS["attention" if causal else "full-attention"]
    assert forward_scale(scaled, plain) == pytest.approx(
        law(seq_len=32, head_dim=16, alpha=alpha), rel=1e-9
    )


@pytest.mark.parametrize("alpha", [0.25, 1.0, 16.0])
def test_softmax_laws_are_the_librarys(alpha: float) -> None:
    x = torch.randn(4, 100, dtype=torch.float64, requires_grad=True)
    plain, scaled = torch.softmax(alpha * x, -1), U.softmax(x, -1, mult=alpha, constraint=None)
    assert forward_scale(scaled, plain) == pytest.approx(LAWS["softmax"](size=100, alpha=alpha))
    weights = torch.randn(4, 100, dtype=torch.float64)
    (scaled_grad,) = torch.autograd.grad((scaled * weights).sum(), x)
    (plain_grad,) = torch.autograd.grad((plain * weights).sum(), x)
    assert forward_scale(scaled_grad, plain_grad) == pytest.approx(
        LAWS["softmax.gradient"](size=100, alpha=alpha)
    )


def test_cross_entropy_gradient_is_exact_at_equal_logits_and_the_librarys() -> None:
    logits = torch.zeros(8, 50, dtype=torch.float64, requires_grad=True)
    target = torch.arange(8)
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    (grad,) = torch.autograd.grad(loss, logits)
    sigma = LAWS["cross-entropy.gradient"](vocab_size=50)
    assert float(grad.square().mean().sqrt()) == pytest.approx(sigma, rel=1e-12)
    (unit,) = torch.autograd.grad(U.cross_entropy(logits, target, reduction="sum"), logits)
    assert forward_scale(unit, grad) == pytest.approx(sigma, rel=1e-9)
