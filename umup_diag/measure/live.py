"""Recording a training loop that is the user's own: ``with record(model, every=100, to=…)``."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from umup_diag.errors import InputError
from umup_diag.measure.backward import in_backward
from umup_diag.measure.environment import environment
from umup_diag.measure.matmul_operands import matmul_operands
from umup_diag.measure.ranks import Ranks
from umup_diag.measure.recorder import MATMUL_KINDS, Recorder
from umup_diag.recording import Frame, Recording

COMMAND = "record"  #: of recordings that are made here


@contextmanager
def record(
    model: nn.Module,
    *,
    every: int = 100,
    to: str | Path,
    step: int = 0,
    manual: bool = False,
    settings: dict[str, Any] | None = None,
) -> Iterator["LiveRecording"]:
    """Record inputs, weights and grad-outputs of every linear layer while a model trains.

    Example::

        with umup_diag.record(model, every=100, to="reports/run"):
            train()

    A step is what happens from one step of an optimizer that holds this model's parameters to the
    next: micro-batches that are accumulated count as one step, and so do several optimizers that
    step one after the other. Forward passes without gradients are not recorded. On steps that are
    not recorded the model has one hook and the optimizer another, and both only count.

    Loss and gradients are bit-identical with and without. Under torch.distributed every rank must
    enter; their histograms are added up, and rank 0 writes.

    Args:
        model: any module, before ``torch.compile``; DDP and ``fully_shard`` are understood.
        every: record every so many steps, from step 0 on.
        to: folder for ``recording.jsonl``, which ``umup-diag fp8-range`` judges.
        step: updates that were done before; a recording in `to` is then continued from there.
        manual: for loops without a `torch.optim.Optimizer`, or with one per parameter inside the
            backward pass: a step ends where ``recording.step()`` is called.
        settings: what to keep in the recording's header.

    Raises:
        InputError: if `to` cannot be written, if the model is compiled or sharded by FSDP 1, or if
            nothing was recorded by the end.
    """
    if every < 1:
        raise InputError(f"every={every}: record every 1 step or more.")
    bare = recordable(model)
    recording = None
    if Ranks.current().is_first:
        if step:
            recording = Recording.resume(Path(to), until=step - 1)
        else:
            device = next((each.device for each in bare.parameters()), torch.device("cpu"))
            recording = Recording.create(
                Path(to),
                command=COMMAND,
                settings=settings or {"every": every},
                environment=environment(device),
            )
    live = LiveRecording(bare, recording, every=every, done=step)
    with live.attached(manual=manual):
        yield live
    if live.done == step:
        raise InputError(
            "nothing was recorded: no optimizer with this model's parameters stepped after a "
            "forward pass of it.\nWithout a torch optimizer use manual=True and recording.step(); "
            "a compiled model must be recorded uncompiled."
        )


class LiveRecording:
    """A loop while it is recorded: counts its steps, and adds a frame for each that is due.

    Attributes:
        done: steps that have ended, those before this loop included.
    """

    def __init__(
        self, model: nn.Module, recording: Recording | None, *, every: int, done: int
    ) -> None:
        """Prepare to record.

        Args:
            model: a `recordable` one.
            recording: to add to; None on all ranks but the first.
            every: record every so many steps.
            done: steps that were done before.
        """
        self.done = done
        self._model, self._recording, self._every = model, recording, every
        self._ranks = Ranks.current()
        self._recorder = Recorder(model)
        self._is_due = done % every == 0
        self._has_run = self._is_compiled = False
        self._open: ExitStack | None = None
        self._losses: list[float | Tensor] = []
        self._is_own: dict[Optimizer, bool] = {}

    @contextmanager
    def attached(self, *, manual: bool) -> Iterator[None]:
        """With hooks on the model, and on all optimizers unless steps are counted by hand."""
        with ExitStack() as hooks:
            hooks.callback(self._model.register_forward_pre_hook(self._before_forward).remove)
            if not manual:
                hooks.callback(register_optimizer_step_post_hook(self._after_update).remove)
            hooks.callback(self._detach)
            yield

    def loss(self, value: float | Tensor) -> None:
        """Keep the loss of this step; a tensor is read only when a frame is added."""
        self._losses.append(value.detach() if isinstance(value, Tensor) else value)

    def step(self) -> None:
        """End a step, with ``manual=True``; does nothing if the model has not run since."""
        if self._is_compiled:
            raise InputError(_COMPILED)
        if not self._has_run:
            return
        if self._open is not None:
            self._add_frame()
        self.done += 1
        self._has_run = False
        self._is_due = self.done % self._every == 0

    def finish(self) -> None:
        """Add the losses since the last frame, in a frame without tensors."""
        if self._losses and self._recording is not None:
            self._recording.append(Frame(step=self.done, losses=tuple(self.losses)))
            self._losses.clear()

    @property
    def losses(self) -> list[float]:
        """Losses since the last frame."""
        return [float(value) for value in self._losses]

    def _before_forward(self, _: nn.Module, __: object) -> None:
        if torch.compiler.is_compiling():  # an error raised here would be swallowed: raise later
            self._is_compiled = True
            return
        if not torch.is_grad_enabled():
            return
        self._has_run = True
        if self._is_due and self._open is None:
            self._open = ExitStack()
            self._open.enter_context(self._recorder.step(MATMUL_KINDS, entered=True))

    def _after_update(self, optimizer: Optimizer, _: object, __: object) -> None:
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
        self._detach()
        records = self._ranks.merge(matmul_operands(self._recorder), self._model)
        if self._recording is not None:
            losses = tuple(self.losses)
            self._recording.append(Frame(step=self.done, losses=losses, records=records))
        self._losses.clear()

    def _detach(self) -> None:
        """Take the hooks of a step off, if they are on."""
        if self._open is not None:
            self._open.close()
            self._open = None


_COMPILED = (
    "a compiled model cannot be recorded: its layers' inputs and gradients do not exist one by one."
    "\nRecord the steps of interest with the model as it was before torch.compile."
)


def recordable(model: nn.Module) -> nn.Module:
    """The model inside DDP, if its layers can be watched.

    Raises:
        InputError: if it is compiled, or sharded by FSDP 1.
    """
    bare = model.module if isinstance(model, DistributedDataParallel) else model
    compiled = [
        module
        for module in bare.modules()
        if getattr(module, "_compiled_call_impl", None) is not None
        or type(module).__name__ == "OptimizedModule"
    ]
    if compiled:
        raise InputError(_COMPILED)
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in bare.modules()):
        raise InputError(
            "FullyShardedDataParallel keeps parameters in flat pieces that have no layer.\n"
            "Use fully_shard (FSDP 2), which is recorded."
        )
    return bare
