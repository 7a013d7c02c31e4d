"""Recording a training loop that is the user's own: ``with record(model, every=100, to=…)``."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from umup_diag.errors import InputError
from umup_diag.measure import compiled, optimizer_steps
from umup_diag.measure.amp import LossScale
from umup_diag.measure.backward import in_backward
from umup_diag.measure.bare import bare
from umup_diag.measure.environment import environment
from umup_diag.measure.hook import Hook
from umup_diag.measure.ranks import Ranks
from umup_diag.measure.readable import is_readable
from umup_diag.measure.recorder import MATMUL_KINDS, Recorder
from umup_diag.measure.training_records import training_records
from umup_diag.numerics import block
from umup_diag.recording import Frame, Recording
from umup_diag.recording.sink import Sink, Sinks

COMMAND = "record"  #: of recordings that are made here


@contextmanager
def record(
    model: nn.Module,
    *,
    every: int = 100,
    to: str | Path,
    step: int = 0,
    manual: bool = False,
    strict: bool = False,
    settings: dict[str, Any] | None = None,
    sinks: Sequence[Sink] = (),
    scaler: torch.amp.GradScaler | None = None,
    blocks: Sequence[str] = (),
    sample_weights: bool = False,
) -> Iterator["LiveRecording"]:
    """Record inputs, weights and grad-outputs of every linear layer while a model trains.

    Example::

        with umup_diag.record(model, every=100, to="reports/run"):
            train()

    A step is what happens from one step of an optimizer that holds this model's parameters to the
    next: micro-batches that are accumulated count as one step, and so do several optimizers that
    step one after the other. Forward passes without gradients are not recorded, nor are those
    inside a transform of torch.func. On steps that are not recorded the model has one hook and the
    optimizer another, and both only count; a compiled model keeps all, which the compiler has built
    in.

    Loss and gradients are bit-identical with and without. Whatever goes wrong with the recording (a
    full disk, a folder that is gone, a rank that does not answer) is warned of once; it then stops,
    and training goes on. The model can be copied and pickled meanwhile; the copy is not recorded.

    Under torch.distributed every rank must enter; their histograms are added up, and rank 0 writes.

    Args:
        model: any module, compiled or to be compiled inside; DDP, DataParallel and ``fully_shard``
            are understood.
        every: record every so many steps, from step 0 on.
        to: folder for ``recording.jsonl``, which ``umup-diag fp8-range`` judges.
        step: updates that were done before; a recording in `to` is then continued from there, or
            begun if there is none yet.
        manual: for loops without a `torch.optim.Optimizer`, or with one per parameter inside the
            backward pass: a step ends where ``recording.step()`` is called.
        strict: raise what goes wrong with the recording.
        settings: what to keep in the recording's header.
        sinks: where the numbers of each frame go besides (`umup_diag.integrations.sinks`).
        scaler: of automatic mixed precision; its loss scale is taken out of the grad-outputs, and
            a step that it skips is not recorded but the next one is.
        blocks: block formats to cast each tensor to as well, such as ``mxfp8`` and ``nvfp4``, so
            that they can be judged; a recorded step then takes several times as long.
        sample_weights: count 65 536 elements of each weight that has four times as many, and keep
            how sure its RMS is: what a recorded step costs is then mostly that of large weights
            where batches are small. An outlier that is rarer than that may be missed.

    Raises:
        InputError: if `every` is not positive, for a block format that is none, or for one with
            `sample_weights`. With `strict`, also if `to` cannot be written, if the model is sharded
            by FSDP 1, or if nothing was recorded by the end.
    """
    if every < 1:
        raise InputError(f"every={every}: record every 1 step or more.")
    inner = bare(model)
    live = LiveRecording(
        inner,
        every=every,
        done=step,
        strict=strict,
        listeners=[Sinks(sinks)],
        scaler=scaler,
        blocks=blocks,
        sample_weights=sample_weights,
    )
    with live.safely():
        recordable(model)
        if Ranks.current().is_first:
            live.recording = open_recording(
                Path(to), inner, settings=settings or {"every": every}, done=step
            )
    with live.attached(manual=manual):
        yield live
    with live.safely():
        if live.done == step and (live.has_run or step == 0):
            raise InputError(
                "nothing was recorded: no optimizer with this model's parameters stepped after a "
                "forward pass of it.\nWithout a torch optimizer use manual=True and "
                "recording.step(); what is compiled must first be called inside of record(…)."
            )


def open_recording(
    folder: Path, model: nn.Module, *, settings: dict[str, Any], done: int
) -> Recording:
    """The recording in a folder, to go on with after so many updates; a new one if none is begun.

    Raises:
        InputError: if the folder cannot be written, or holds something else.
    """
    if done and is_begun(folder):
        recording = Recording.resume(folder, until=done - 1)
        recording.frames.clear()
        return recording
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    return Recording.create(
        folder, command=COMMAND, settings=settings, environment=environment(device)
    )


def is_begun(folder: Path) -> bool:
    """Whether a recording in a folder got as far as its first line."""
    try:
        with (folder / Recording.FILE).open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:
        return False  # whoever writes to it says why


class LiveRecording:
    """A loop while it is recorded: counts its steps, and adds a frame for each that is due.

    Frames are written and not kept: a long run must not fill the memory.

    Attributes:
        done: steps that have ended, those before this loop included.
        recording: to add to; None on all ranks but the first.
        has_run: whether the model has had a forward pass of training since the last step.
        has_stopped: whether recording has failed, and stopped.
    """

    def __init__(
        self,
        model: nn.Module,
        recording: Recording | None = None,
        *,
        every: int,
        done: int = 0,
        strict: bool = False,
        listeners: Sequence[Callable[[Frame], None]] = (),
        scaler: torch.amp.GradScaler | None = None,
        blocks: Sequence[str] = (),
        sample_weights: bool = False,
    ) -> None:
        """Prepare to record.

        Args:
            model: a `recordable` one.
            recording: to add to; None on all ranks but the first.
            every: record every so many steps.
            done: steps that were done before.
            strict: whether to raise what goes wrong, or to warn of it once and stop recording.
            listeners: called with each frame, on the first rank, once it is written.
            scaler: of automatic mixed precision.
            blocks: block formats to cast to as well.
            sample_weights: count samples of large weights.

        Raises:
            InputError: for a block format that is none, or for one with sampled weights.
        """
        self.done, self.recording = done, recording
        self.has_run = self.has_stopped = False
        self._model, self._every, self._strict = model, every, strict
        self._listeners = listeners
        self._ranks = Ranks.current()
        self._scale = LossScale(scaler)
        names = [block.resolve(name) for name in blocks]
        self._hooks = ExitStack()
        self._open: ExitStack | None = None
        self._losses: list[float | Tensor] = []
        self._partial: set[tuple[str, str]] = set()
        self._is_own: WeakKeyDictionary[Optimizer, bool] = WeakKeyDictionary()
        with self.safely():
            _reshard(model)
        self._recorder = Recorder(
            model, blocks=names, sample_weights=sample_weights, failed=self._failed
        )

    @contextmanager
    def attached(self, *, manual: bool) -> Iterator[None]:
        """With hooks on the model, and on all optimizers unless steps are counted by hand."""
        with ExitStack() as hooks:
            if not self.has_stopped:
                begins = Hook(lambda *_: self._begin_compiled(), self._failed)
                hooks.enter_context(compiled.observed(self._model, compiled.CALL, begins))
                before = Hook(self._before_forward, self._failed, compiled.trace_call)
                hooks.callback(self._model.register_forward_pre_hook(before).remove)
                if not manual:
                    after = Hook(self._after_update, self._failed)
                    hooks.enter_context(optimizer_steps.heard_by(after))
                with self.safely():
                    compiled.forget(self._model)
                    self._hooks.enter_context(self._recorder.hooked())
            hooks.callback(self._ranks.settle)
            hooks.callback(self._hooks.close)
            hooks.callback(self._detach)
            self._prepare()
            yield

    @contextmanager
    def safely(self) -> Iterator[None]:
        """What goes wrong inside does not get out, unless `strict` wants it to."""
        try:
            yield
        except Exception as error:
            self._failed(error)

    def loss(self, value: float | Tensor) -> None:
        """Keep the loss of this step; a tensor is read only when a frame is added."""
        if not self.has_stopped:
            self._losses.append(value.detach() if isinstance(value, Tensor) else value)

    def begin(self) -> None:
        """Training has begun a step; the model's own hook says so wherever the model is called."""
        if self._open is not None:
            if self.has_run and self._scale.was_skipped:  # no optimizer step tells of it
                self._recorder.restart()
                self.has_run = False
            if not self.has_run:
                self._scale.open()
        self.has_run = True

    @property
    def is_recording(self) -> bool:
        """Whether the step that is under way is recorded; the same on every rank."""
        return self._open is not None

    def step(self) -> None:
        """End a step, with ``manual=True``; does nothing if the model has not run since."""
        if not self.has_run:
            return
        was_skipped = self._open is not None and self._scale.was_skipped
        if self._open is not None:
            self._detach()
            if not self.has_stopped and not was_skipped:
                with self.safely():
                    self._add_frame()
        self.done += 1
        self.has_run = False
        if self.has_stopped or not self._recorder.is_compiled:
            self._hooks.close()
        self._prepare(is_due=was_skipped)

    def finish(self) -> None:
        """Add the losses since the last frame, in a frame without tensors."""
        if self._losses:
            with self.safely():
                self._append(Frame(step=self.done, losses=tuple(self.losses)))
            self._losses.clear()

    @property
    def losses(self) -> list[float]:
        """Losses since the last frame."""
        return [float(value) for value in self._losses]

    def _prepare(self, *, is_due: bool = False) -> None:
        """Put the hooks of a step on, if the next one is due."""
        is_due |= self.done % self._every == 0
        if is_due and self._open is None and not self.has_stopped:
            with self.safely(), ExitStack() as opened:
                opened.enter_context(self._recorder.step(MATMUL_KINDS, in_training=True))
                self._open = opened.pop_all()

    def _before_forward(self, _: nn.Module, __: object) -> None:
        if torch.is_grad_enabled() and is_readable():
            self.begin()

    def _begin_compiled(self) -> None:
        self._recorder.is_compiled = True
        self.begin()
        self._recorder.begin()

    def _after_update(self, optimizer: Optimizer) -> None:
        if not self._holds_parameters(optimizer):
            return
        if in_backward():
            raise InputError(
                "an optimizer steps inside the backward pass, before the step is over.\n"
                "Use record(…, manual=True) and call recording.step() after each step."
            )
        self.step()

    def _holds_parameters(self, optimizer: Optimizer) -> bool:
        if optimizer not in self._is_own:
            own = {id(parameter) for parameter in self._model.parameters()}
            held = (p for group in optimizer.param_groups for p in group["params"])
            self._is_own[optimizer] = any(id(parameter) in own for parameter in held)
        return self._is_own[optimizer]

    def _add_frame(self) -> None:
        own = self._scale.taken_out(training_records(self._recorder))
        recorder = self._recorder
        placed = {(tensor or "weight", kind) for tensor, kind in recorder.placed}
        records = self._ranks.merge(own, self._model, placed=placed, jointly=recorder.jointly)
        self._say_partial()
        if records is None:  # the first rank has said why
            self.has_stopped = True
        else:
            self._append(Frame(step=self.done, losses=tuple(self.losses), records=records))
        self._losses.clear()

    def _say_partial(self) -> None:
        """Name, once, what is left out because a rank has only a summand of it."""
        new = set(self._recorder.partial) - self._partial
        self._partial |= new
        if new and self._ranks.is_first:
            names = ", ".join(sorted(f"{tensor} ({kind})" for tensor, kind in new))
            warnings.warn(
                f"umup-diag leaves out {names}: each rank has only a summand of it (Partial), and "
                "adding them up would take a collective.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _append(self, frame: Frame) -> None:
        if self.recording is not None:
            self.recording.append(frame)
            self.recording.frames.clear()
            for listener in self._listeners:
                listener(frame)

    def _detach(self) -> None:
        """Take the hooks of a step off, if they are on."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _failed(self, error: Exception) -> None:
        """Raise an error, or warn of the first one; nothing is recorded from then on."""
        if self._strict:
            raise error
        if self.has_stopped:
            return
        self.has_stopped = True
        self._losses.clear()
        with suppress(RuntimeError):  # a store that is gone: nobody waits there
            self._ranks.give_up()
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        warnings.warn(
            f"umup-diag records no more from step {self.done} on; training goes on. {reason}",
            RuntimeWarning,
            stacklevel=2,
        )


def recordable(model: nn.Module) -> nn.Module:
    """The model inside DDP, DataParallel or ``torch.compile``, if its layers can be watched.

    Raises:
        InputError: if it is sharded by FSDP 1.
    """
    inner = bare(model)
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in inner.modules()):
        raise InputError(
            "FullyShardedDataParallel keeps parameters in flat pieces that have no layer.\n"
            "Use fully_shard (FSDP 2), which is recorded."
        )
    return inner


def _reshard(model: nn.Module) -> None:
    """Let ``fully_shard`` have its shards back, if it has kept gathered weights of an evaluation.

    Those are other parameters than the optimizer's; they come and go, and are freed when they do.
    """
    for module in model.modules():
        if any(each.__name__ == "FSDPModule" for each in type(module).__mro__):
            module.reshard()  # type: ignore[operator]
