"""A few training steps on one fixed batch, with every tensor recorded before and after."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.corpus import Corpus
from umup_diag.measure.recorder import CHANGE_KINDS, Recorder
from umup_diag.measure.subject import Subject
from umup_diag.recording import Frame
from umup_diag.scaling import optimizers
from umup_diag.scaling.kinds import Kind

#: Recorded before the first update; after it, `CHANGE_KINDS`.
INITIAL_KINDS = frozenset(
    {
        Kind.INPUT,
        Kind.WEIGHT,
        Kind.OUTPUT,
        Kind.GRAD_OUTPUT,
        Kind.WEIGHT_GRAD,
        Kind.ATTENTION_LOGITS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a short run trains.

    Attributes:
        steps: updates.
        optimizer: a name of `umup_diag.scaling.optimizers`; None for the subject's own.
        lr: learning rate of a named optimizer; None for the subject's own.
        batch_size: sequences in the batch.
        seq_len: tokens in a sequence.
        record: whether to record; False trains the same steps bare, for comparison.
    """

    steps: int
    optimizer: str | None
    lr: float | None
    batch_size: int
    seq_len: int
    record: bool = True


def train(
    subject: Subject,
    corpus: Corpus,
    schedule: Schedule,
    *,
    width: int,
    seed: int,
    stream: int,
    device: torch.device,
) -> Iterator[Frame]:
    """Build at one width, take a few steps on one batch, and record.

    The same batch serves all steps, so that a change of an output is due to the weights alone.
    Steps stop early at a loss that is not finite.

    Args:
        subject: what to build and how to train it.
        corpus: text, for a subject that brings no batches.
        schedule: the steps.
        width: to build at.
        seed: index of the run at that width.
        stream: seed of the random numbers of model and batch.
        device: to train on.

    Yields:
        A frame of histograms before each update and after the last, at (width, seed), with the loss
        of its forward pass.

    Raises:
        InputError: if the subject cannot be built or trained.
    """
    torch.manual_seed(stream)
    model = subject.model(width).to(device)
    batch = to_device(
        subject.batch(
            corpus, batch_size=schedule.batch_size, seq_len=schedule.seq_len, seed=stream
        ),
        device,
    )
    update = updater(subject, schedule, model)
    recorder = Recorder(model, changes=True) if schedule.record else None
    for step in range(schedule.steps + 1):
        kinds = CHANGE_KINDS if step else INITIAL_KINDS
        last = step == schedule.steps
        with recorder.step(kinds) if recorder else nullcontext():
            with torch.set_grad_enabled(not last):
                loss = scalar_loss(subject, model, batch)
            if not last and loss.isfinite():
                update(loss)
        yield Frame(
            point={"width": width, "seed": seed},
            step=step,
            losses=(loss.item(),),
            records=tuple(recorder.take()) if recorder else (),
        )
        if not loss.isfinite():
            break


def updater(subject: Subject, schedule: Schedule, model: nn.Module) -> Callable[[Tensor], None]:
    """A function that takes a loss and does backward pass and update.

    A named optimizer steps each parameter as soon as its gradient is whole and then drops the
    gradient, so that no more than one layer's is alive: about 12 bytes a parameter under Adam. The
    subject's own optimizer may look at all gradients at once, so it steps after the backward pass.
    """
    if schedule.optimizer is None:
        assert subject.optimizer is not None
        whole = subject.optimizer(model)

        def update(loss: Tensor) -> None:
            loss.backward()
            whole.step()
            whole.zero_grad(set_to_none=True)

        return update

    assert schedule.lr is not None
    spec = optimizers.get(schedule.optimizer)
    single: dict[Tensor, torch.optim.Optimizer] = {}
    for group in subject.groups(model, optimizer=schedule.optimizer, lr=schedule.lr):
        for parameter in group["params"]:
            single[parameter] = spec.build([{**group, "params": [parameter]}])

    def step(parameter: Tensor) -> None:
        single[parameter].step()
        parameter.grad = None

    def update_in_backward(loss: Tensor) -> None:
        hooks = [p.register_post_accumulate_grad_hook(step) for p in single if p.requires_grad]
        try:
            loss.backward()
        finally:
            for hook in hooks:
                hook.remove()

    return update_in_backward


def to_device(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a batch: a tensor, or sequences and mappings of them."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def scalar_loss(subject: Subject, model: nn.Module, batch: Any) -> Tensor:
    """The subject's loss of one batch.

    Raises:
        InputError: if it raises, or is no scalar tensor.
    """
    try:
        loss = subject.loss(model, batch)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"--model {subject.name}: loss(model, batch) raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise InputError(f"--model {subject.name}: loss(model, batch) must return a scalar tensor.")
    return loss
