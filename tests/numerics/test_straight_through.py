"""The forward cast changes values alone, the backward cast gradients alone."""

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.numerics.formats import E4M3FN, E5M2, FP16
from umup_diag.numerics.quantize import quantize
from umup_diag.numerics.straight_through import quantize_backward, quantize_forward


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_forward_casts_values_and_passes_gradients(dtype: torch.dtype) -> None:
    x = torch.randn(3, 5).to(dtype).requires_grad_()
    gradient = torch.randn(3, 5).to(dtype)
    y = quantize_forward(x, E4M3FN)
    torch.autograd.backward(y, gradient)
    assert torch.equal(y, quantize(x, E4M3FN))
    assert x.grad is not None
    assert torch.equal(x.grad, gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_backward_passes_values_and_casts_gradients(dtype: torch.dtype) -> None:
    x = torch.randn(3, 5).to(dtype).requires_grad_()
    gradient = torch.randn(3, 5).to(dtype)
    y = quantize_backward(x, E5M2)
    torch.autograd.backward(y, gradient)
    assert torch.equal(y, x)
    assert x.grad is not None
    assert torch.equal(x.grad, quantize(gradient, E5M2))


def test_rules_reach_both_passes() -> None:
    x = torch.full((1000,), 1.03, requires_grad=True)
    up = quantize_forward(x, E4M3FN, rounding="stochastic")
    down = quantize_backward(x, E4M3FN, rounding="stochastic")
    torch.autograd.backward(down, torch.full((1000,), 1.03))
    assert x.grad is not None
    for cast in (up, x.grad):
        assert set(torch.unique(cast).tolist()) == {1.0, 1.125}
    assert quantize_forward(torch.tensor(500.0), E4M3FN, overflow="nan").isnan()


def test_the_dtype_stays_even_where_the_format_is_finer() -> None:
    assert quantize_forward(torch.randn(4).bfloat16(), FP16).dtype is torch.bfloat16


def test_an_in_place_operation_may_follow() -> None:
    x = torch.randn(5, requires_grad=True)
    torch.autograd.backward(torch.relu_(quantize_backward(x, E4M3FN)).sum())
    assert x.grad is not None


def test_bad_input_is_an_error() -> None:
    with pytest.raises(InputError, match=r"cannot quantize torch\.int64"):
        quantize_forward(torch.arange(3), E4M3FN)
