"""What one update does: the loss that each parameter takes off, and the gain of each layer's ΔW.

To first order a step Δp changes the loss by ⟨∂L/∂p, Δp⟩. Its negative, summed over a tensor, is
that tensor's share of the fall of the loss: it needs no theory of the network.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from umup_diag.measure.half_precision import require_movement
from umup_diag.measure.layers import NamedTensor
from umup_diag.measure.probe.call import Call
from umup_diag.measure.probe.linear_part import gain, linear_part
from umup_diag.measure.probe.operator_norm import rms_operator_norm
from umup_diag.scaling.kinds import Kind

_SAMPLE = 1 << 16  #: elements that are enough for a ratio
_CHUNK = 1 << 14  #: elements multiplied and added in their own precision, before float64 adds up


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of one tensor."""

    tensor: str
    kind: Kind
    value: float


def dot(a: Tensor, b: Tensor) -> float:
    """⟨a, b⟩ of float32 or wider, in pieces whose sums are added up in float64.

    Within a piece of 16 384 the error is that of float32, about 10⁻⁶ of the sum of absolute terms.
    """
    wide = torch.float64 if a.dtype == torch.float64 else torch.float32
    a, b = (x.detach().reshape(-1).to(wide) for x in (a, b))
    whole = a.numel() // _CHUNK * _CHUNK
    pieces = torch.linalg.vecdot(a[:whole].view(-1, _CHUNK), b[:whole].view(-1, _CHUNK))
    rest = torch.dot(a[whole:], b[whole:])
    return float(pieces.sum(dtype=torch.float64)) + float(rest)


def _sample(x: Tensor) -> Tensor:
    """At most 2¹⁷ elements of a tensor, flat, spread evenly: for ratios that need no more.

    The stride is odd, so that it does not meet the same columns of a matrix in every row.
    """
    flat = x.detach().reshape(-1)
    return flat[:: flat.numel() // _SAMPLE | 1].contiguous()


class UpdateMeter:
    """Compares parameters before and after one update.

    `before` must be called when the gradient of the loss is whole, `received` when an optimizer is
    about to use it, if that can be seen, and `after` when the parameter has moved. Between the
    first and the last a copy of the parameter and its gradient are kept: of one parameter where the
    optimizer steps inside the backward pass, of all where it steps once.

    Args:
        tensors: the parameters, by name.
        calls: layer → its calls in this forward pass.
        layers_of: tensor → the names of the layers whose weight it is, more than one if tied.
        done: tensors of which the first update with a gradient was measured in full: how it goes
            with its gradient, and its gain. Of these only the loss change is measured again.
        norms: whether to measure the operator norm of a first update.
    """

    def __init__(
        self,
        tensors: Iterable[NamedTensor],
        calls: Mapping[str, list[Call]],
        layers_of: Mapping[str, tuple[str, ...]],
        *,
        done: set[str] | None = None,
        norms: bool = False,
    ) -> None:
        named_tensors = list(tensors)
        self._names: dict[Tensor, str] = {each.parameter: each.name for each in named_tensors}
        self._normed: dict[Tensor, NamedTensor] = (
            {each.parameter: each for each in named_tensors} if norms else {}
        )
        self._calls, self._layers_of = calls, layers_of
        self._kept: dict[Tensor, tuple[Tensor, Tensor]] = {}
        self._received: dict[Tensor, Tensor] = {}
        self._stepped: set[Tensor] = set()
        self.readings: list[Reading] = []
        self.own_changes: dict[str, list[Tensor]] = {}
        self._done = set() if done is None else done

    def before(self, parameter: Tensor, gradient: Tensor) -> None:
        """Remember a parameter, and the gradient of the loss: not copied, so nobody may change it.

        Args:
            parameter: about to be updated; a copy of it is kept.
            gradient: of the loss, whole, ahead of clipping.
        """
        gradient = gradient.detach()
        if gradient.is_sparse:
            gradient = gradient.to_dense()
        self._kept[parameter] = (parameter.detach().clone(), gradient)

    def received(self, parameter: Tensor, gradient: Tensor, scale: Tensor | None = None) -> None:
        """What the optimizer gets as that gradient, times `scale` if it takes that out itself."""
        self._stepped.add(parameter)
        is_needed = parameter in self._kept and self._names[parameter] not in self._done
        if is_needed and not gradient.is_sparse:
            got = _sample(gradient)
            self._received[parameter] = got if scale is None else got / scale

    def after(self, parameter: Tensor, group: Mapping[str, Any]) -> None:
        """Measure what the update did to it.

        Args:
            parameter: the same as in `before`.
            group: the optimizer's settings for it; empty if they are not known.

        Raises:
            InputError: if the parameter is in half precision, and too coarse to move.
        """
        name = self._names[parameter]
        if parameter not in self._kept:  # no gradient at all: the loss does not depend on it
            self.readings.append(Reading(name, Kind.LOSS_CHANGE, 0.0))
            return
        old, gradient = self._kept.pop(parameter)
        change = parameter.detach() - old
        if parameter in self._stepped:
            require_movement(name, gradient, change)
        add = self._adder(name)
        fall = -dot(gradient, change)
        add(Kind.LOSS_CHANGE, fall)
        if name in self._done or fall == 0.0:
            return
        self._done.add(name)
        received = self._received.pop(parameter, None)
        self._direction(add, _sample(gradient), _sample(change), received)
        size = dot(old, old)
        if size:
            along = dot(gradient, old)
            add(Kind.SIZE_SLOPE, along)
            chance = (size * dot(gradient, gradient) / old.numel()) ** 0.5
            add(Kind.GRADIENT_RADIAL, abs(along) / chance)
        self._settings(add, group, _sample(gradient) if received is None else received)
        del gradient, received
        if parameter in self._normed:
            norm = rms_operator_norm(self._normed[parameter], change)
            if norm is not None:
                add(Kind.UPDATE_NORM, norm)
        for layer in self._layers_of.get(name, ()):
            self._gain(layer, change)

    def _adder(self, name: str) -> Callable[[Kind, float], None]:
        return lambda kind, value: self.readings.append(Reading(name, kind, value))

    @staticmethod
    def _direction(
        add: Callable[[Kind, float], None], gradient: Tensor, change: Tensor, passed: Tensor | None
    ) -> None:
        """How the update goes with its gradient, and what of that the optimizer got."""
        norm, step = dot(gradient, gradient), dot(change, change)
        if not norm or not step:
            return
        add(Kind.GRADIENT_RMS, (norm / gradient.numel()) ** 0.5)
        if passed is not None:
            add(Kind.GRADIENT_PASSED, dot(passed, gradient) / norm)
        sign = gradient.sign()
        add(Kind.GRADIENT_COSINE, -dot(gradient, change) / (norm * step) ** 0.5)
        add(Kind.SIGN_COSINE, -dot(sign, change) / (float(sign.count_nonzero()) * step) ** 0.5)

    @staticmethod
    def _settings(
        add: Callable[[Kind, float], None], group: Mapping[str, Any], gradient: Tensor
    ) -> None:
        rate = group.get("lr")
        if rate is None:
            return
        add(Kind.RATE, float(rate))
        add(Kind.WEIGHT_DECAY, float(rate) * float(group.get("weight_decay", 0.0)))
        eps = float(group.get("eps", 0.0))
        if eps and "betas" in group:
            add(Kind.EPSILON, eps)
            size = gradient.abs()
            left = float((size / (size + eps)).sum(dtype=torch.float64))
            # what is lost of Σ|g|·|g|/(|g| + ε), without taking a small number from 1
            add(Kind.EPS_SHARE, eps * left / float(size.sum(dtype=torch.float64)))

    def _gain(self, layer: str, change: Tensor) -> None:
        calls = self._calls.get(layer, [])
        for call in calls:
            if call.has_more:
                call.constant = None  # its bias may have moved since
        parts = [linear_part(call, change) for call in calls]
        if calls and all(part is not None for part in parts):
            outs = [part for part in parts if part is not None]
            self.own_changes[layer] = outs
            self.readings.append(Reading(layer, Kind.UPDATE_GAIN, gain(calls, outs)))
