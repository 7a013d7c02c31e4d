"""One forward and one backward pass of a model that is never updated: records, and the wiring."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.data import random_tokens
from umup_diag.measure.recorder import Recorder
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss, to_device
from umup_diag.measure.users_code import calling
from umup_diag.measure.wiring import WiringRecorder
from umup_diag.recording import Frame, Moments
from umup_diag.scaling.unit_expectations import KINDS


def init_passes(
    subject: Subject,
    *,
    width: int,
    batches: int,
    batch_size: int,
    seq_len: int,
    stream: int,
    device: torch.device,
) -> list[Frame]:
    """A frame for each batch through one model.

    Args:
        subject: to build; without batches of its own, it gets random bytes.
        width: to build at.
        batches: how many.
        batch_size: sequences in each.
        seq_len: tokens in a sequence. Few: each layer of attention makes positions more alike, and
            the more positions there are, the further that takes deep layers off the scale laws.
        stream: seed of the random numbers of model and batches.
        device: to run on.

    Returns:
        Frames whose point has one axis, "batch".

    Raises:
        InputError: if the model cannot be built or run, or has too few batches.
    """
    torch.manual_seed(stream)
    model = subject.model(width).to(device)
    source = subject.batches or random_tokens.batches
    with calling(f"--model {subject.name}: batches(...)"):
        given = source(batch_size=batch_size, seq_len=seq_len, seed=stream)
        drawn = list(islice(given, batches))
    if len(drawn) < batches:
        raise InputError(
            f"--model {subject.name}: batches(...) gave {len(drawn)} batches, not {batches}; "
            "lower --batches."
        )
    return [
        replace(
            observe(model, partial(scalar_loss, subject, model, to_device(batch, device))),
            point={"batch": index},
        )
        for index, batch in enumerate(drawn)
    ]


def observe(model: nn.Module, loss: Callable[[], Tensor]) -> Frame:
    """Run one forward and backward pass; gradients that were there are put back as they were.

    Args:
        model: left as it was.
        loss: calls the model; returns a scalar.

    Returns:
        A frame of moments with its wiring, at no point of any axis.

    Raises:
        InputError: if the loss does not depend on any parameter.
    """
    recorder, wiring = Recorder(model), WiringRecorder(model)
    with gradients_kept(model), recorder.step(KINDS), wiring.watch():
        value = loss()
        if not value.requires_grad:
            raise InputError(
                "the loss does not depend on any parameter of the model, so there are no "
                "gradients to look at; return it with its graph."
            )
        with calling("the backward pass"):
            value.backward()
    return Frame(
        step=0,
        losses=(value.item(),),
        records=tuple(
            replace(record, statistics=Moments.of(record.histogram)) for record in recorder.take()
        ),
        wiring=wiring.wiring(value),
    )


@contextmanager
def gradients_kept(model: nn.Module) -> Iterator[None]:
    """Leave parameters' gradients as they were; those made inside are dropped one by one."""
    kept = {parameter: parameter.grad for parameter in model.parameters()}
    hooks = []
    for parameter in kept:
        parameter.grad = None
        if parameter.requires_grad:
            hooks.append(parameter.register_post_accumulate_grad_hook(_drop_gradient))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, gradient in kept.items():
            parameter.grad = gradient


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None
