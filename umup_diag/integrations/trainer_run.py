"""What the callbacks of all trainers do: record, tell of tensors near a limit, and stop."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.watcher import Watcher, lines
from umup_diag.errors import InputError
from umup_diag.measure.live import LiveRecording, open_recording, recordable
from umup_diag.measure.ranks import Ranks
from umup_diag.recording import Frame, Recording
from umup_diag.recording.sink import Sink, Sinks

if TYPE_CHECKING:
    from torch.amp import GradScaler

logger = logging.getLogger("umup_diag")


class TrainerRun:
    """A run of somebody's trainer, recorded; the trainer's callback says when a step ends.

    Attributes:
        wants_stop: whether, with `stop`, some tensor was beyond a limit in the last frame; known
            on the first rank alone.
    """

    def __init__(
        self,
        *,
        every: int,
        to: str | Path,
        sinks: Sequence[Sink],
        limits: RangeSettings | None,
        stop: bool,
        strict: bool,
    ) -> None:
        """Prepare; nothing is touched yet.

        Args:
            every: record every so many steps.
            to: folder for the recording.
            sinks: where the numbers of each frame go besides.
            limits: what counts as near; None for the defaults of ``umup-diag fp8-range``.
            stop: whether to ask for a stop when a tensor gets beyond a limit.
            strict: whether to raise what goes wrong with the recording.

        Raises:
            InputError: if `every` is not positive.
        """
        if every < 1:
            raise InputError(f"every={every}: record every 1 step or more.")
        self._every, self._to, self._stop, self._strict = every, Path(to), stop, strict
        self._sinks, self._limits = Sinks(sinks), limits or RangeSettings()
        self._hooks = ExitStack()
        self._live: LiveRecording | None = None
        self.wants_stop = False

    def begin(self, model: nn.Module, *, step: int, scaler: "GradScaler | None") -> None:
        """Put the hooks on; a recording in the folder is continued if `step` updates were done.

        Raises:
            InputError: if the model is sharded by FSDP 1; with `strict`, if the folder cannot be
                written.
        """
        self._hooks.close()  # of a run that ended in an exception
        self._watcher, self.wants_stop = Watcher(settings=self._limits), False
        live = LiveRecording(
            recordable(model),
            every=self._every,
            done=step,
            strict=self._strict,
            listeners=[self._sinks, self._watch],
            scaler=scaler,
        )
        with live.safely():
            if Ranks.current().is_first:
                live.recording = open_recording(
                    self._to, model, settings={"every": self._every}, done=step
                )
                if step:  # what was said before is not said again
                    for frame in Recording.load(self._to).frames:
                        self._watcher.see(frame)
        self._live = live
        self._hooks.enter_context(live.attached(manual=True))

    def begin_batch(self) -> None:
        """A batch of training begins; needed where the trainer calls parts of the model."""
        assert self._live is not None
        self._live.begin()

    @property
    def done(self) -> int:
        """Updates so far."""
        return 0 if self._live is None else self._live.done

    def step(self) -> bool:
        """End a step; tells whether it was recorded, which every rank answers alike."""
        assert self._live is not None
        was_recorded = self._live.is_recording
        self._live.step()
        return was_recorded

    def end(self) -> None:
        """Take the hooks off."""
        self._hooks.close()
        self._live = None

    def _watch(self, frame: Frame) -> None:
        for line in lines(frame.step, self._watcher.see(frame)):
            logger.warning("umup-diag: %s", line)
        self.wants_stop = self._stop and self._watcher.fails
        if self.wants_stop:
            logger.warning("umup-diag: step %s: a tensor is beyond a limit; stopping.", frame.step)
