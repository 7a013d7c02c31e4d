"""Casts that autograd looks through: one in the forward pass, one in the backward pass."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from umup_diag.numerics.formats import Format, Overflow
from umup_diag.numerics.quantize import quantize
from umup_diag.numerics.rounding import Rounding


def quantize_forward(
    x: Tensor,
    fmt: Format,
    *,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Cast on the way forward; the gradient passes unchanged (straight-through estimator).

    Args:
        x: any real floating-point tensor.
        fmt: target format; the arguments are those of `umup_diag.numerics.quantize.quantize`.
        rounding: which neighbour.
        overflow: what too large an element becomes.
        generator: for stochastic rounding.

    Returns:
        A tensor of the shape and dtype of `x`.

    Raises:
        InputError: as `quantize`.
    """
    return _cast(_Forward, x, fmt, rounding, overflow, generator)


def quantize_backward(
    x: Tensor,
    fmt: Format,
    *,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Leave `x` as it is; cast the gradient on its way back.

    Arguments, result and errors are those of `quantize_forward`; errors about the rules come with
    the gradient. The result is a copy, so that an in-place operation may follow.
    """
    return _cast(_Backward, x, fmt, rounding, overflow, generator)


def _cast(function: type[Function], *args: Any) -> Tensor:
    result: Tensor = function.apply(*args)
    return result


class _Forward(Function):
    @staticmethod
    def forward(
        _ctx: Any,
        x: Tensor,
        fmt: Format,
        rounding: Rounding | str,
        overflow: Overflow | str,
        generator: torch.Generator | None,
    ) -> Tensor:
        cast = quantize(x, fmt, rounding=rounding, overflow=overflow, generator=generator)
        return cast.to(x.dtype)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Any:
        return grads[0], None, None, None, None


class _Backward(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        fmt: Format,
        rounding: Rounding | str,
        overflow: Overflow | str,
        generator: torch.Generator | None,
    ) -> Tensor:
        ctx.fmt, ctx.rounding, ctx.overflow = fmt, rounding, overflow
        ctx.generator = generator
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        cast = quantize(
            grads[0],
            ctx.fmt,
            rounding=ctx.rounding,
            overflow=ctx.overflow,
            generator=ctx.generator,
        )
        return cast.to(grads[0].dtype), None, None, None, None
