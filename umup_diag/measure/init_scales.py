"""Initial weights, multipliers, logits and gradients of a model: one forward and backward pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.layers import tensors
from umup_diag.measure.probe.probe import Probe
from umup_diag.recording import Moments, TensorRecord, Value
from umup_diag.scaling.kinds import Kind

#: Of what `Probe.at_init` measures: the rest is for the coord check.
_PROBED = frozenset(
    {
        Kind.MULTIPLIER,
        Kind.INPUT_MULTIPLIER,
        Kind.OUTPUT_MULTIPLIER,
        Kind.ATTENTION_LOGITS,
        Kind.FEEDS_SOFTMAX,
    }
)
#: A gradient so much below the model's largest is what rounding leaves of zero.
ROUNDING = 2.0**-20


def initial_weights(model: nn.Module) -> list[TensorRecord]:
    """The RMS of every parameter: its standard deviation, or where a gain or a bias starts."""
    records = []
    for order, named in enumerate(tensors(model)):
        weight = whole(named.parameter.detach()).to(torch.float64)
        moments = Moments(count=weight.numel(), rms=float(weight.square().mean().sqrt()))
        records.append(
            TensorRecord(
                tensor=named.name,
                kind=Kind.WEIGHT,
                statistics=moments,
                order=order,
                fans=named.fans,
            )
        )
    return records


def one_pass(model: nn.Module, loss: Callable[[], Tensor]) -> list[TensorRecord]:
    """Multipliers around each layer, attention's logits, and the gradients of one batch.

    Args:
        model: left as it was, with its buffers and gradients; so are the random numbers.
        loss: of the batch.

    Returns:
        Records; of a gradient, the RMS of the entries that are not zero (rows of an embedding that
        no token picks have none). One that is zero but for rounding has no record.

    Raises:
        InputError: if the loss does not depend on any parameter.
    """
    probe = Probe(model)
    named = [each for each in tensors(model) if each.parameter.requires_grad]
    with _buffers_kept(model), torch.random.fork_rng():
        with probe.forward():
            value = loss()
        if not value.requires_grad:
            raise InputError("the loss does not depend on any parameter of the model.")
        probe.at_init(value)
        parameters = [each.parameter for each in named]
        found = torch.autograd.grad(value, parameters, allow_unused=True)
    records = [record for record in probe.take() if record.kind in _PROBED]
    gradients = [None if each is None else _of_nonzero(each) for each in found]
    floor = ROUNDING * max((each.value for each in gradients if each is not None), default=0.0)
    return records + [
        TensorRecord(
            tensor=each.name,
            kind=Kind.GRADIENT_RMS,
            statistics=gradient,
            order=order,
            fans=each.fans,
        )
        for order, (each, gradient) in enumerate(zip(named, gradients, strict=True))
        if gradient is not None and gradient.value > floor
    ]


def _of_nonzero(gradient: Tensor) -> Value:
    """RMS of the entries that are not zero."""
    seen = int(gradient.count_nonzero())
    total = float(gradient.to(torch.float64).square().sum())
    return Value(value=(total / max(seen, 1)) ** 0.5, count=seen)


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put buffers back as they were: batch norm's running statistics move in a forward pass."""
    kept = {buffer: buffer.clone() for buffer in model.buffers()}
    try:
        yield
    finally:
        for buffer, was in kept.items():
            buffer.copy_(was)


def whole(tensor: Tensor) -> Tensor:
    """The whole of what FSDP2 has a shard of."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()
