"""The ops that scale-law knows by name: what to draw from, and over which grid."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from umup_diag.measure.monte_carlo.attention_moments import AttentionMoments
from umup_diag.measure.monte_carlo.estimate import Sampler
from umup_diag.measure.monte_carlo.ops import DRAW_SHAPE, AutogradSampler
from umup_diag.recording.frame import Point

Grid = Mapping[str, tuple[float, ...]]

#: The papers' symbols for parameters of the ops here.
ALIASES: Mapping[str, str] = MappingProxyType({"s": "seq_len", "d_head": "head_dim"})


def doubling(low: float, high: float) -> tuple[float, ...]:
    """low, 2 low, 4 low … up to high."""
    return tuple(low * 2**i for i in range(round(math.log2(high / low)) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinOp:
    """One op that scale-law knows by name.

    Attributes:
        sampler: what to draw from; laws and families are filed under its name.
        grid: default values of every parameter.
        relative_error: default standard error of each RMS, well below what its law is off by.
    """

    sampler: Sampler
    grid: Grid
    relative_error: float = 0.0005


def attention(q: Tensor, k: Tensor, v: Tensor, *, alpha: float, causal: bool) -> Tensor:
    """``softmax(alpha / head_dim · q kᵀ + mask) v``, shapes (…, seq_len, head_dim)."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=alpha / q.shape[-1])


def attention_by_autograd(*, causal: bool) -> AutogradSampler:
    """Plain Monte-Carlo for attention: what `AttentionMoments` must agree with."""

    def function(
        q: Tensor, k: Tensor, v: Tensor, *, seq_len: float, head_dim: float, alpha: float
    ) -> Tensor:
        del seq_len, head_dim  # They are the shape of q.
        return attention(q, k, v, alpha=alpha, causal=causal)

    def shapes(point: Point) -> tuple[tuple[int, ...], ...]:
        return ((1, 1, int(point["seq_len"]), int(point["head_dim"])),) * 3

    names = ("q", "k", "v")
    return AutogradSampler(
        function=function, name="attention", inputs=names, shapes=shapes, gradients=names
    )


def _gated_silu(x_in: Tensor, x_gate: Tensor, *, alpha: float) -> Tensor:
    return x_in * x_gate * torch.sigmoid(alpha * x_gate)


def _silu(x: Tensor, *, alpha: float) -> Tensor:
    return x * torch.sigmoid(alpha * x)


def _gelu(x: Tensor, *, alpha: float) -> Tensor:
    return F.gelu(alpha * x) / alpha


def _softmax(x: Tensor, *, size: float, alpha: float) -> Tensor:
    del size  # It is the last dimension of x.
    return torch.softmax(alpha * x, dim=-1)


def _cross_entropy(logits: Tensor, *, vocab_size: float) -> Tensor:
    target = torch.randint(int(vocab_size), logits.shape[:-1]).to(logits.device)
    return F.cross_entropy(logits, target, reduction="none")


def _fixed(count: int) -> Callable[[Point], tuple[tuple[int, ...], ...]]:
    return lambda _: (DRAW_SHAPE,) * count


_ANY_ALPHA: Grid = MappingProxyType({"alpha": doubling(1 / 64, 64)})


def _elementwise(
    name: str,
    function: Callable[..., Tensor],
    inputs: tuple[str, ...],
    *,
    grid: Grid = _ANY_ALPHA,
    centred: bool = False,
) -> BuiltinOp:
    return BuiltinOp(
        sampler=AutogradSampler(
            function=function,
            name=name,
            inputs=inputs,
            shapes=_fixed(len(inputs)),
            gradients=inputs,
            centred=centred,
        ),
        grid=grid,
    )


_ATTENTION_GRID: Grid = MappingProxyType(
    {
        "seq_len": doubling(64, 4096),
        "head_dim": doubling(16, 128),
        "alpha": doubling(1 / 16, 16),
    }
)

_OPS = (
    BuiltinOp(
        sampler=AttentionMoments(causal=True),
        grid=_ATTENTION_GRID,
        relative_error=0.005,
    ),
    BuiltinOp(
        sampler=AttentionMoments(causal=False),
        grid=_ATTENTION_GRID,
        relative_error=0.005,
    ),
    _elementwise("gated-silu", _gated_silu, ("x_in", "x_gate")),
    _elementwise("silu", _silu, ("x",), centred=True),
    _elementwise("gelu", _gelu, ("x",), centred=True),
    _elementwise("relu", lambda x: F.relu(x), ("x",), grid=MappingProxyType({})),
    BuiltinOp(
        sampler=AutogradSampler(
            function=_softmax,
            name="softmax",
            inputs=("x",),
            shapes=lambda point: ((64, int(point["size"])),),
            gradients=("x",),
        ),
        grid=MappingProxyType({"size": doubling(64, 1024), "alpha": doubling(1 / 16, 16)}),
        relative_error=0.01,
    ),
    BuiltinOp(
        sampler=AutogradSampler(
            function=_cross_entropy,
            name="cross-entropy",
            inputs=("logits",),
            shapes=lambda point: ((64, int(point["vocab_size"])),),
            gradients=("logits",),
        ),
        grid=MappingProxyType({"vocab_size": doubling(64, 8192)}),
        relative_error=0.01,
    ),
)

BUILTIN_OPS: Mapping[str, BuiltinOp] = MappingProxyType({op.sampler.name: op for op in _OPS})
