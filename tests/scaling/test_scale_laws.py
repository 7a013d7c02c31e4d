"""The published laws: against their text, their limits, and the unit-scaling library."""

import math

import pytest
import torch
import unit_scaling.functional as U
from torch import Tensor

from umup_diag.scaling.formula import compiled, log_interpolate
from umup_diag.scaling.scale_laws import LAWS, attention_scale, harmonic

ALPHAS = (1 / 64, 0.5, 1.0, 3.4, 64.0)


def test_a_formula_computes_its_text_and_nothing_else() -> None:
    law = compiled("log_interpolate(1 / (1 + size), sqrt(alpha), pi) + log(size)")
    expected = log_interpolate(1 / 4, math.sqrt(2), math.pi) + math.log(3)
    assert law(size=3, alpha=2) == pytest.approx(expected)
    with pytest.raises(NameError, match="alpha"):
        law(size=3)
    with pytest.raises(NameError, match="open"):
        compiled("open('x')")()


def test_log_interpolate_takes_the_upper_limit_first() -> None:
    assert log_interpolate(1, 8, 2) == pytest.approx(8)
    assert log_interpolate(0, 8, 2) == pytest.approx(2)
    assert log_interpolate(0.5, 8, 2) == pytest.approx(4)


def test_harmonic_numbers_join_the_sum_to_the_expansion() -> None:
    for n in (1, 2, 31, 32, 33, 4096):
        exact = math.fsum(1 / i for i in range(1, n + 1))
        assert harmonic(n) == pytest.approx(exact, rel=1e-12)


def test_attention_at_the_papers_setting() -> None:
    assert attention_scale(seq_len=256, head_dim=64) == pytest.approx(0.1483, abs=5e-5)
    assert attention_scale(seq_len=1, head_dim=64) == 1.0


@pytest.mark.parametrize("alpha", [1 / 16, 1.0, 16.0])
@pytest.mark.parametrize("seq_len", [1, 64, 4096])
def test_the_refit_is_the_law_of_the_docs(seq_len: int, alpha: float) -> None:
    """docs/scale_laws.md: there the flat limit stands to the power 1 - w."""
    spread = 64 / alpha**2
    point = {"seq_len": seq_len, "head_dim": 64, "alpha": alpha}
    w = 1 / (1 + 3.777 * seq_len**0.05531 * spread**1.075)
    causal = math.sqrt((math.log(seq_len) + 0.5772 + 0.5 / seq_len) / seq_len) ** (1 - w)
    w = 1 / (1 + 3.382 * seq_len**0.07375 * spread**1.183)
    full = math.sqrt(1 / seq_len) ** (1 - w)
    assert LAWS["attention.refit"](**point) == pytest.approx(
        causal if seq_len > 1 else 1.0, rel=1e-4
    )
    assert LAWS["full-attention.refit"](**point) == pytest.approx(full, rel=1e-12)


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
