"""The part of an output that is linear in a weight, whatever multiplies them.

What a weight takes part in is run with another tensor in its place: f(V) − f(0) is what V does to
this input. Biases, adapters and multipliers stay where they are, so a fused projection, a
convolution, an embedding, Hugging Face's Conv1D and a home-made linear are all the same here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from umup_diag.measure.probe.call import Call


def linear_part(call: Call, value: Tensor) -> Tensor | None:
    """What `value` does in place of the weight: f(value) − f(0), with the layer's multiplier."""
    weight = call.weight
    if call.constant is None:
        constant = call.forward(torch.zeros_like(weight))
        if constant is None:
            return None
        call.constant = constant
    out = call.forward(value.to(weight.dtype))
    return None if out is None else out - call.constant


def initial_part(call: Call) -> Tensor | None:
    """What the weight itself did in a call; None if the output is not affine in the weight.

    Tried by doubling the weight, which also finds what depends on more than weight and input, as
    dropout does.
    """
    weight = call.weight.detach()
    twice = linear_part(call, 2 * weight)
    if twice is None or call.constant is None:
        return None
    once = call.out.detach() - call.constant
    error = float((twice - 2 * once).double().norm())
    tolerance = max(1e-3, 4 * torch.finfo(twice.dtype).eps)  # bfloat16 rounds by up to eps / 2
    return once if error <= tolerance * float(twice.double().norm()) else None


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
    weight = call.weight.detach()
    if not weight.any():  # a zero start shows no factor, so another weight is tried
        weight = torch.ones_like(weight)
        tried = linear_part(call, weight)
        if tried is None:
            return None
        out = tried
    plain = call.plain(weight)
    if plain is None or plain.shape != out.shape:
        return None
    plain, out = plain.double(), out.double()
    square = float(plain.square().sum())
    if square == 0.0:
        return None
    factor = float((plain * out).sum()) / square
    rest = float((out - factor * plain).norm())
    return factor if rest <= 1e-2 * float(out.norm()) else None
