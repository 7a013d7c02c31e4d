"""A few training steps on one fixed batch, with what each update does measured."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.half_precision import Float16Gradients
from umup_diag.measure.probe.probe import Probe
from umup_diag.measure.recorder import CHANGE_KINDS, Recorder
from umup_diag.measure.subject import Subject
from umup_diag.measure.subject.default_loss import own_loss
from umup_diag.measure.update import updater
from umup_diag.measure.users_code import calling
from umup_diag.recording import Frame, TensorRecord
from umup_diag.scaling.kinds import Kind

#: Kinds of tensors that are recorded before the first update, if asked for; `CHANGE_KINDS` after.
INITIAL_KINDS = frozenset(
    {Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT, Kind.GRAD_OUTPUT, Kind.WEIGHT_GRAD}
)

BYTES_HINT = (
    "Its batches are bytes, 0 to 255: give it a vocabulary of 256, or offer batches(...) that fit."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a short run trains.

    Attributes:
        steps: updates.
        optimizer: a name of `umup_diag.scaling.optimizers`; None for the subject's own.
        lr: learning rate of a named optimizer; None for the subject's own.
        weight_decay: of a named optimizer; None for none.
        batch_size: sequences in the batch.
        seq_len: tokens in a sequence.
        record: whether to measure; False trains the same steps bare, for comparison.
        kinds: of tensors to record besides, as histograms; counting takes as long as training.
        spectral: whether to measure operator norms besides.
    """

    steps: int
    optimizer: str | None
    lr: float | None
    batch_size: int
    seq_len: int
    record: bool = True
    weight_decay: float | None = None
    kinds: Collection[Kind] = ()
    spectral: bool = False


def train(
    subject: Subject,
    corpus: Corpus,
    schedule: Schedule,
    *,
    width: int,
    seed: int,
    stream: int,
    device: torch.device,
    **sizes: int,
) -> Iterator[Frame]:
    """Build at one place, take a few steps on one batch, and measure.

    The same batch serves all steps, so that a change of an output is due to the weights alone.
    Steps stop early at a loss that is not finite.

    Args:
        subject: what to build and how to train it.
        corpus: text, for a subject that brings no batches.
        schedule: the steps.
        width: to build at.
        seed: index of the run at that place.
        stream: seed of the random numbers of model and batch.
        device: to train on.
        sizes: to build at along other axes, by name.

    Yields:
        A frame before each update and after the last, at the place and seed, with the loss of its
        forward pass, what that pass shows, and what the update before it did.

    Raises:
        InputError: if the subject cannot be built or trained.
    """
    torch.manual_seed(stream)
    model = subject.model(width, **sizes).to(device)
    batch = to_device(
        subject.batch(
            corpus, batch_size=schedule.batch_size, seq_len=schedule.seq_len, seed=stream
        ),
        device,
    )
    update = updater(
        subject,
        model,
        batch,
        optimizer=schedule.optimizer,
        lr=schedule.lr,
        weight_decay=schedule.weight_decay,
    )
    recorder = Recorder(model, changes=True) if schedule.kinds else None
    probe = Probe(model, norms=schedule.spectral) if schedule.record else None
    watched = Float16Gradients(model) if schedule.record and subject.step is None else None
    of_update: list[TensorRecord] = []
    for step in range(schedule.steps + 1):
        records, of_update = of_update, []
        last = step == schedule.steps
        with ExitStack() as watching:
            if recorder:
                kinds = CHANGE_KINDS if step else INITIAL_KINDS
                watching.enter_context(recorder.step(kinds & set(schedule.kinds)))
            with ExitStack() as forward:
                if probe:
                    forward.enter_context(probe.forward())
                if watched:
                    forward.enter_context(watched.forward())
                loss = scalar_loss(subject, model, batch)
            if probe:
                if step == 0:
                    probe.at_init(loss)
                records += probe.take()
            if not last and loss.isfinite():
                update(loss, probe.meter() if probe else None)
                of_update = probe.take() if probe else []
                if watched:
                    watched.require()
        if recorder:
            records += recorder.take()
        yield Frame(
            point={"width": width, **sizes, "seed": seed},
            step=step,
            losses=(loss.item(),),
            records=tuple(records),
        )
        if not loss.isfinite():
            break


def to_device(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a batch: a tensor, or sequences and mappings of them.

    What is none of these, but can be moved (``.to``), is moved whole.
    """
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch.to(device) if callable(getattr(batch, "to", None)) else batch


def scalar_loss(subject: Subject, model: nn.Module, batch: Any) -> Tensor:
    """The subject's loss of one batch: what its `loss` returns, or the ``.loss`` of that.

    Raises:
        InputError: if it raises, or is no scalar tensor.
    """
    try:
        with calling(f"--model {subject.name}: loss(model, batch)"):
            given: Any = subject.loss(model, batch)
    except InputError as error:
        if subject.batches is None and isinstance(error.__cause__, IndexError):
            raise InputError(f"{error}\n{BYTES_HINT}") from error.__cause__
        raise
    loss = given if isinstance(given, Tensor) else own_loss(given)
    if loss is None or loss.numel() != 1:
        raise InputError(
            f"--model {subject.name}: loss(model, batch) must return a scalar tensor, or what has "
            "one as .loss."
        )
    return loss.reshape(())
