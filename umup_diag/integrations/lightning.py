"""``UmupDiagCallback`` for the ``Trainer`` of PyTorch Lightning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.integrations.trainer_run import TrainerRun
from umup_diag.recording.sink import Sink

__all__ = ["UmupDiagCallback"]


class UmupDiagCallback(Callback):
    """Record every so many steps of a ``Trainer``, and say when a tensor comes near a limit of FP8.

    Example::

        trainer = L.Trainer(..., callbacks=[UmupDiagCallback(every=100, to="reports/run")])

    A step is what raises ``trainer.global_step``: accumulated batches are counted together, and so
    are several optimizers that step in one batch. Validation is not recorded, clipping happens
    after what is, and the loss scale of ``16-mixed`` is taken out. The number of steps is part of
    the trainer's checkpoints: training that is resumed from one goes on with the recording.
    Warnings go to the logger ``umup_diag``, once a tensor; judge the folder with ``umup-diag
    fp8-range``.

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
        self._stop, self._done, self._seen = stop, 0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the hooks on."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._run.begin(pl_module, step=self._done, scaler=scaler)
        self._seen = trainer.global_step

    def on_train_batch_start(self, *_: Any) -> None:
        """Open a step, or go on with it; a module's ``training_step`` may call parts of itself."""
        self._run.begin_batch()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Add a frame if a recorded step ended, and stop all ranks if the first one wants it."""
        if trainer.global_step == self._seen:  # one of several batches that are accumulated
            return
        self._seen = trainer.global_step
        was_recorded = self._run.step()
        self._done = self._run.done
        if was_recorded and self._stop:
            wants_stop = trainer.strategy.reduce_boolean_decision(self._run.wants_stop, all=False)
            trainer.should_stop = trainer.should_stop or wants_stop

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Take the hooks off."""
        self._run.end()

    def on_exception(self, *_: Any) -> None:
        """Take the hooks off."""
        self._run.end()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the steps that were done."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._done = int(state_dict["done"])
