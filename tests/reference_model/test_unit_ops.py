"""The unit-scaled ops against the official library, forward and backward, to float tolerance.

One deliberate difference: the library's `residual_*` take the ratio of standard deviations, ours
take the two weights themselves.
"""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
import unit_scaling.functional as U
from torch import Tensor

from reference_model import plain_ops, unit_ops
from reference_model.scale import scale
from umup_diag.scaling.scale_laws import LAWS

Op = Callable[..., Tensor]


def forward_backward(op: Op, *inputs: Tensor) -> list[Tensor]:
    """Output, then the gradient of each input under one fixed gradient of the output."""
    leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    out = op(*leaves)
    generator = torch.Generator().manual_seed(1)
    out.backward(torch.randn(out.shape, generator=generator))
    return [out.detach(), *(x.grad for x in leaves if x.grad is not None)]


def assert_same(ours: Op, theirs: Op, *inputs: Tensor) -> None:
    for mine, reference in zip(
        forward_backward(ours, *inputs), forward_backward(theirs, *inputs), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=2e-5, atol=1e-6)


def test_scale_multiplies_each_way_by_its_own_factor() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    y = scale(x, forward=2.0, backward=5.0)
    y.backward(torch.ones(1))
    assert (y.item(), x.grad) == (6.0, torch.tensor([5.0]))


def test_linear() -> None:
    x, w = torch.randn(2, 7, 64), torch.randn(171, 64)
    assert_same(
        lambda x, w: unit_ops.linear(x, w, multiplier=64**-0.5),
        lambda x, w: U.linear(x, w, None),
        x,
        w,
    )


def test_readout() -> None:
    x, w = torch.randn(2, 7, 64), torch.randn(256, 64)
    assert_same(
        lambda x, w: unit_ops.readout(x, w, multiplier=1 / 64),
        lambda x, w: U.linear_readout(x, w, None),
        x,
        w,
    )


def test_embedding() -> None:
    tokens, w = torch.randint(256, (2, 7)), torch.randn(256, 64)
    assert_same(lambda w: unit_ops.embedding(tokens, w), lambda w: U.embedding(tokens, w), w)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_attention(alpha: float) -> None:
    q, k, v = torch.randn(3, 2, 4, 32, 16)
    assert_same(
        lambda q, k, v: unit_ops.attention(q, k, v, multiplier=alpha / 16),
        lambda q, k, v: U.scaled_dot_product_attention(q, k, v, is_causal=True, mult=alpha),
        q,
        k,
        v,
    )


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_gated_silu(alpha: float) -> None:
    x, gate = torch.randn(2, 5, 171)
    assert_same(
        lambda x, gate: unit_ops.gated_silu(x, gate, alpha=alpha),
        lambda x, gate: U.silu_glu(x, gate, mult=alpha),
        x,
        gate,
    )


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_residual(tau: float) -> None:
    branch, skip = tau / sqrt(1 + tau**2), 1 / sqrt(1 + tau**2)

    def ours(x: Tensor) -> Tensor:
        residual, stream = unit_ops.residual_split(x, branch=branch, skip=skip)
        return unit_ops.residual_add(residual.tanh(), stream, branch=branch, skip=skip)

    def theirs(x: Tensor) -> Tensor:
        residual, stream = U.residual_split(x, tau)
        out: Tensor = U.residual_add(residual.tanh(), stream, tau)
        return out

    assert_same(ours, theirs, torch.randn(5, 64))


def test_the_delayed_branch_weight_leaves_the_gradient_of_the_function() -> None:
    """Splitting and adding with weights applied late is a·f(x) + b·x, gradient included."""
    x = torch.randn(5, 64)

    def delayed(x: Tensor) -> Tensor:
        residual, stream = unit_ops.residual_split(x, branch=0.6, skip=0.8)
        return unit_ops.residual_add(residual.tanh(), stream, branch=0.6, skip=0.8)

    assert_same(delayed, lambda x: 0.6 * x.tanh() + 0.8 * x, x)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_cross_entropy(alpha: float) -> None:
    logits, targets = torch.randn(14, 256), torch.randint(256, (14,))
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    ours = unit_ops.cross_entropy(mine, targets, alpha=alpha)
    expected = U.cross_entropy(theirs, targets, mult=alpha)
    ours.backward()
    expected.backward()
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_the_trunk_gets_unit_gradients_at_any_width_and_vocabulary() -> None:
    """The readout's way back is 1/√V; the paper's 1/√fan-in would give √(V/width) here."""
    for width, vocab in [(256, 4096), (1024, 256)]:
        x = torch.randn(64, width, requires_grad=True)
        unit_ops.readout(x, torch.randn(vocab, width), multiplier=1 / width).backward(
            torch.randn(64, vocab)
        )
        assert x.grad is not None
        assert x.grad.square().mean().sqrt().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_the_scales_are_the_published_laws(alpha: float) -> None:
    """Written anew, as a user would; umup-diag has them as data."""
    for seq_len, head_dim in [(1, 64), (2, 16), (256, 64), (4096, 128)]:
        shape = {"seq_len": seq_len, "head_dim": head_dim}
        law = LAWS["attention"](**shape, alpha=alpha)
        assert unit_ops.attention_scale(**shape, alpha=alpha) == pytest.approx(law, rel=1e-12)
    law = LAWS["gated-silu"](alpha=alpha)
    assert unit_ops.gated_silu_scale(alpha=alpha) == pytest.approx(law, rel=1e-12)


def test_plain_ops_are_torch() -> None:
    q, k, v = torch.randn(3, 2, 4, 32, 16)
    torch.testing.assert_close(
        plain_ops.attention(q, k, v, multiplier=0.25),
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
    )
    x, gate = torch.randn(2, 5, 171)
    torch.testing.assert_close(
        plain_ops.gated_silu(x, gate, alpha=1.0), x * torch.nn.functional.silu(gate)
    )
