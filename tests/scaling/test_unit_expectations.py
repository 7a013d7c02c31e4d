"""What unit scale leaves off 1, against Monte-Carlo and against the ops themselves."""

import math

import pytest
import torch

from reference_model import unit_ops
from umup_diag.scaling.roles import Fans, Role
from umup_diag.scaling.unit_expectations import (
    attention_logits,
    backward_gain,
    forward_gain,
    query_gradient,
)

#: An RMS over N elements of kurtosis κ is known to √((κ − 1)/4N); attention's heads share weights
#: of the softmax, so N counts heads. Three of those, and 5 % for weights that are not quite 1/i.
TOLERANCE = 0.05


@pytest.mark.parametrize(
    ("seq_len", "head_dim", "alpha"),
    [(8, 64, 1.0), (64, 64, 1.0), (256, 64, 1.0), (64, 16, 1.0), (64, 128, 0.25)],
)
def test_query_and_key_gradients_are_the_jacobians(
    seq_len: int, head_dim: int, alpha: float
) -> None:
    shape = (max(64, 16384 // seq_len), 1, seq_len, head_dim)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    out = unit_ops.attention(q, k, v, multiplier=alpha / head_dim)
    out.backward(torch.randn(shape))
    expected = query_gradient(seq_len=seq_len, head_dim=head_dim, alpha=alpha)
    for tensor in (q, k):
        assert tensor.grad is not None
        assert tensor.grad.square().mean().sqrt().item() == pytest.approx(expected, rel=TOLERANCE)


def test_the_value_that_was_measured_before() -> None:
    """0.11 at (256, 64, 1), as found when the paper's Table 4 was checked."""
    assert query_gradient(seq_len=256, head_dim=64) == pytest.approx(0.112, abs=0.001)


def test_a_single_position_gives_queries_nothing() -> None:
    assert query_gradient(seq_len=1, head_dim=64) == 0


def test_linears_are_unit_forward_and_readouts_at_one_over_root_fan_in() -> None:
    fans = Fans(fan_in=1024, fan_out=256)
    assert forward_gain(Role.HIDDEN, fans) == 1
    assert forward_gain(Role.OUTPUT, fans) == pytest.approx(1 / 32)
    assert forward_gain(Role.INPUT, fans) == 1


def test_the_gradient_through_a_linear_is_the_ops() -> None:
    fan_in, fan_out = 512, 128
    x = torch.randn(64, fan_in, requires_grad=True)
    out = unit_ops.linear(x, torch.randn(fan_out, fan_in), multiplier=fan_in**-0.5)
    out.backward(torch.randn(64, fan_out))
    assert x.grad is not None
    gain = backward_gain(Fans(fan_in=fan_in, fan_out=fan_out))
    assert gain == pytest.approx(0.5)
    assert x.grad.square().mean().sqrt().item() == pytest.approx(gain, rel=0.03)


def test_attention_logits_go_with_alpha() -> None:
    expected = attention_logits(64)
    assert (expected.low, expected.high) == pytest.approx((0.25 / 8, 4 / 8))
    assert math.sqrt(expected.low * expected.high) == pytest.approx(1 / 8)
