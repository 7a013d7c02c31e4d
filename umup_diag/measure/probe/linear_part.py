"""The part of a layer's output that is linear in its weight, whatever the layer is.

A layer's forward is run with another tensor in place of its weight: f(V) − f(0) is what V does to
this input. Biases, adapters and multipliers stay where they are, so a fused projection, a
convolution, an embedding, Hugging Face's Conv1D and a home-made linear are all the same here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(slots=True)
class Call:
    """One call of a layer: what it was given, and what it gave.

    Attributes:
        module: the layer.
        args: as its forward got them.
        kwargs: likewise.
        out: its output.
        constant: f(0), what it gives without its weight; None until asked for.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Tensor
    constant: Tensor | None = field(default=None)

    @property
    def given(self) -> Tensor | None:
        """The input: the first tensor given."""
        return next((x for x in (*self.args, *self.kwargs.values()) if isinstance(x, Tensor)), None)


def weight_of(module: nn.Module) -> nn.Parameter:
    """The weight of a layer."""
    weight = module._parameters["weight"]
    assert weight is not None
    return weight


@contextmanager
def _in_place_of_weight(module: nn.Module, value: Tensor) -> Iterator[None]:
    kept = module._parameters["weight"]
    module._parameters["weight"] = nn.Parameter(value, requires_grad=False)
    try:
        yield
    finally:
        module._parameters["weight"] = kept


def _forward(call: Call, weight: Tensor) -> Tensor | None:
    with torch.no_grad(), _in_place_of_weight(call.module, weight):
        out = call.module.forward(*call.args, **call.kwargs)
    return out if isinstance(out, Tensor) and out.shape == call.out.shape else None


def linear_part(call: Call, value: Tensor) -> Tensor | None:
    """What `value` does in place of the weight: f(value) − f(0), with the layer's multiplier."""
    weight = weight_of(call.module)
    if call.constant is None:
        constant = _forward(call, torch.zeros_like(weight))
        if constant is None:
            return None
        call.constant = constant
    out = _forward(call, value.to(weight.dtype))
    return None if out is None else out - call.constant


def initial_part(call: Call) -> Tensor | None:
    """What the layer's own weight did in a call; None if the output is not affine in the weight.

    Tried by doubling the weight, which also finds what depends on more than weight and input, as
    dropout does.
    """
    weight = weight_of(call.module).detach()
    twice = linear_part(call, 2 * weight)
    if twice is None or call.constant is None:
        return None
    once = call.out.detach() - call.constant
    error = float((twice - 2 * once).double().norm())
    return once if error <= 1e-3 * float(twice.double().norm()) else None


def rms(parts: Sequence[Tensor]) -> float:
    """RMS over all elements of several tensors; 1 for indices, each of which selects one row."""
    if any(not part.is_floating_point() for part in parts):
        return 1.0
    count = sum(part.numel() for part in parts)
    total = sum(float(part.detach().double().square().sum()) for part in parts)
    return (total / count) ** 0.5 if count else 0.0


def gain(calls: Sequence[Call], outs: Sequence[Tensor]) -> float:
    """RMS out over RMS in, over all calls; 0 without input."""
    given = [x for call in calls if (x := call.given) is not None]
    below = rms(given)
    return rms(outs) / below if below > 0 else 0.0


def multiplier(call: Call, out: Tensor) -> float | None:
    """The factor between W·x and what the layer gives of it, by regression.

    None where the layout of the weight is not known, or where `out` is no multiple of W·x.
    """
    plain = _plain(call)
    if plain is None or plain.shape != out.shape:
        return None
    plain, out = plain.double(), out.double()
    square = float(plain.square().sum())
    if square == 0.0:
        return None
    factor = float((plain * out).sum()) / square
    rest = float((out - factor * plain).norm())
    return factor if rest <= 1e-2 * float(out.norm()) else None


def _plain(call: Call) -> Tensor | None:
    module, x = call.module, call.given
    weight = weight_of(module)
    if x is None:
        return None
    with torch.no_grad():
        if not x.is_floating_point():
            return F.embedding(x, weight)
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            out: Tensor = module._conv_forward(x, weight, None)
            return out
        if weight.dim() != 2:
            return None
        x, w = x.to(weight.dtype), weight.detach()
        if hasattr(module, "nf") and x.shape[-1] == w.shape[0]:
            return x @ w
        if x.shape[-1] == w.shape[1]:
            return F.linear(x, w)
        return x @ w if x.shape[-1] == w.shape[0] else None
