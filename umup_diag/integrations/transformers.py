"""``UmupDiagCallback`` for the ``Trainer`` of Hugging Face's transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.integrations.trainer_run import TrainerRun
from umup_diag.recording.sink import Sink

__all__ = ["UmupDiagCallback"]


class UmupDiagCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Record every so many steps of a ``Trainer``, and say when a tensor comes near a limit of FP8.

    Example::

        trainer = Trainer(..., callbacks=[UmupDiagCallback(every=100, to="reports/run")])

    A step is one of the trainer's: the micro-batches of ``gradient_accumulation_steps`` are
    counted together. Evaluation is not recorded, clipping happens after what is, and the loss
    scale of fp16 is taken out. Training that is resumed from a checkpoint goes on with the
    recording from its step. Warnings go to the logger ``umup_diag``, once a tensor; judge the
    folder with ``umup-diag fp8-range``.

    Args:
        every: record every so many steps.
        to: folder for the recording.
        sinks: where the numbers of each frame go besides (`umup_diag.integrations.sinks`).
        limits: which tensors, held to which format, and what counts as near; None for the defaults
            of ``umup-diag fp8-range``.
        stop: whether to stop training when a tensor gets beyond a limit.
        strict: whether to raise what goes wrong with the recording, or to warn of it and go on
            training.

    Raises:
        InputError: if `every` is not positive; when training begins, if the model is sharded by
            FSDP 1, or with `strict` if the folder cannot be written.
    """

    def __init__(
        self,
        every: int = 100,
        to: str | Path = "reports/run",
        *,
        sinks: Sequence[Sink] = (),
        limits: RangeSettings | None = None,
        stop: bool = False,
        strict: bool = False,
    ) -> None:
        self._run = TrainerRun(
            every=every, to=to, sinks=sinks, limits=limits, stop=stop, strict=strict
        )
        self._stop = stop

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        *,
        model: nn.Module,
        optimizer: Any = None,
        **_: Any,
    ) -> None:
        """Put the hooks on."""
        scaler = getattr(optimizer, "scaler", None)  # accelerate's optimizer has it
        self._run.begin(model, step=state.global_step, scaler=scaler)

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Add a frame if the step was recorded, and stop all ranks if the first one wants it."""
        if self._run.step() and self._stop:
            (wants_stop,) = broadcast_object_list([self._run.wants_stop])
            control.should_training_stop |= wants_stop

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Take the hooks off."""
        self._run.end()
