"""A few training steps on one fixed batch, with what each update does measured."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.probe.probe import Probe
from umup_diag.measure.probe.update_meter import UpdateMeter
from umup_diag.measure.recorder import CHANGE_KINDS, Recorder
from umup_diag.measure.subject import Subject
from umup_diag.recording import Frame, TensorRecord
from umup_diag.scaling import optimizers
from umup_diag.scaling.kinds import Kind

#: Kinds of tensors that are recorded before the first update, if asked for; `CHANGE_KINDS` after.
INITIAL_KINDS = frozenset(
    {Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT, Kind.GRAD_OUTPUT, Kind.WEIGHT_GRAD}
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
    """

    steps: int
    optimizer: str | None
    lr: float | None
    batch_size: int
    seq_len: int
    record: bool = True
    weight_decay: float | None = None
    kinds: Collection[Kind] = ()


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
    """Build at one width, take a few steps on one batch, and measure.

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
        A frame before each update and after the last, at (width, seed), with the loss of its
        forward pass, what that pass shows, and what the update before it did.

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
    recorder = Recorder(model, changes=True) if schedule.kinds else None
    probe = Probe(model) if schedule.record else None
    of_update: list[TensorRecord] = []
    for step in range(schedule.steps + 1):
        records, of_update = of_update, []
        last = step == schedule.steps
        with ExitStack() as watching:
            if recorder:
                kinds = CHANGE_KINDS if step else INITIAL_KINDS
                watching.enter_context(recorder.step(kinds & set(schedule.kinds)))
            with torch.set_grad_enabled(not last), ExitStack() as forward:
                if probe:
                    forward.enter_context(probe.forward())
                loss = scalar_loss(subject, model, batch)
            if probe:
                if step == 0:
                    probe.at_init(loss)
                records += probe.take()
            if not last and loss.isfinite():
                update(loss, probe.meter() if probe else None)
                of_update = probe.take() if probe else []
        if recorder:
            records += recorder.take()
        yield Frame(
            point={"width": width, "seed": seed},
            step=step,
            losses=(loss.item(),),
            records=tuple(records),
        )
        if not loss.isfinite():
            break


Update = Callable[[Tensor, UpdateMeter | None], None]


def updater(subject: Subject, schedule: Schedule, model: nn.Module) -> Update:
    """A function that takes a loss, does backward pass and update, and lets a meter watch.

    A named optimizer steps each parameter as soon as its gradient is whole and then drops the
    gradient, so that no more than one layer's is alive: about 12 bytes a parameter under Adam. The
    subject's own optimizer may look at all gradients at once, so it steps after the backward pass;
    with a meter that keeps 8 bytes a parameter more.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if schedule.optimizer is None:
        assert subject.optimizer is not None
        return _step_once(subject.optimizer(model), trainable)
    assert schedule.lr is not None
    spec = optimizers.get(schedule.optimizer)
    single: dict[Tensor, torch.optim.Optimizer] = {}
    groups = subject.groups(
        model,
        optimizer=schedule.optimizer,
        lr=schedule.lr,
        weight_decay=schedule.weight_decay,
    )
    for group in groups:
        for parameter in group["params"]:
            single[parameter] = spec.build([{**group, "params": [parameter]}])
    return _step_in_backward(single, trainable)


def _step_once(optimizer: torch.optim.Optimizer, trainable: Collection[nn.Parameter]) -> Update:
    def update(loss: Tensor, meter: UpdateMeter | None) -> None:
        loss.backward()
        if meter:
            for parameter in trainable:
                meter.before(parameter)
        optimizer.step()
        if meter:
            settings = _settings(optimizer)
            for parameter in trainable:
                meter.after(parameter, settings.get(parameter, {}))
        optimizer.zero_grad(set_to_none=True)

    return update


def _step_in_backward(
    single: Mapping[Tensor, torch.optim.Optimizer], trainable: Collection[nn.Parameter]
) -> Update:
    """Each parameter has an optimizer of its own."""

    def update(loss: Tensor, meter: UpdateMeter | None) -> None:
        reached = set()

        def step(parameter: Tensor) -> None:
            reached.add(parameter)
            if meter:
                meter.before(parameter, may_be_clipped=False)
            single[parameter].step()
            if meter:
                meter.after(parameter, single[parameter].param_groups[0])
            parameter.grad = None

        hooks = [p.register_post_accumulate_grad_hook(step) for p in single if p.requires_grad]
        try:
            loss.backward()
        finally:
            for hook in hooks:
                hook.remove()
        if meter:
            for parameter in trainable:
                if parameter not in reached:
                    meter.after(parameter, {})

    return update


def _settings(optimizer: torch.optim.Optimizer) -> dict[Tensor, Mapping[str, Any]]:
    """What each parameter is trained with; a decay that is the class's default nobody chose."""
    default = inspect.signature(type(optimizer)).parameters.get("weight_decay")
    found: dict[Tensor, Mapping[str, Any]] = {}
    for group in getattr(optimizer, "param_groups", []):
        settings = dict(group)
        if default is not None and settings.get("weight_decay") == default.default:
            del settings["weight_decay"]
        found |= dict.fromkeys(group["params"], settings)
    return found


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
