"""The primitive under every scaled op: one factor forward, another backward."""

from typing import Any

import torch
from torch import Tensor


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: float, backward: float) -> Tensor:
        ctx.backward_factor = backward
        return x.view_as(x) if forward == 1.0 else x * forward

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        (grad,) = grads
        factor = ctx.backward_factor
        return grad if factor == 1.0 else grad * factor, None, None


def scale(x: Tensor, *, forward: float = 1.0, backward: float = 1.0) -> Tensor:
    """Multiply `x` by `forward`, and the gradient that comes back by `backward`.

    With ``forward == backward`` this is plain multiplication; with different factors the gradient
    is deliberately not that of the function, which is admissible on a cut edge of the graph, where
    the factor is common to all that it reaches (Unit Scaling, section 5.1).
    """
    result = _Scale.apply(x, forward, backward)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result
