"""Training a subject for as long as asked, recorded at a cadence, that can be taken up again."""

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from umup_diag.errors import InputError
from umup_diag.measure.batches import Batches
from umup_diag.measure.checkpoint import torch_file
from umup_diag.measure.history import History
from umup_diag.measure.live import LiveRecording, record
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss
from umup_diag.numerics.simulate import simulate_fp8
from umup_diag.scaling import optimizers

STATE = "state.pt"
SAVE_SECONDS = 30.0
"""A kill loses no more training than this, and one snapshot's worth."""
FINAL_LR = 0.1  # of the peak, at the end of a decay


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRun:
    """Everything that a recorded training run depends on, as kept in its recording.

    Attributes:
        model: import path of the subject.
        width: to build at.
        steps: updates.
        every: record every so many.
        optimizer: by name; None for the subject's own.
        lr: peak, for a named optimizer.
        warmup: updates over which the rate rises linearly from 0.
        decay: whether it then falls by a cosine to a tenth.
        batch_size: sequences.
        seq_len: tokens each.
        seed: of the initialisation and of the batches.
        fp8: recipe of simulated FP8; None for none.
        text: the corpus, by name.
        text_digest: and by content.
    """

    model: str
    width: int
    steps: int
    every: int
    optimizer: str | None
    lr: float | None
    warmup: int
    decay: bool
    batch_size: int
    seq_len: int
    seed: int
    fp8: str | None
    text: str
    text_digest: str

    def rate(self, step: int) -> float:
        """What the peak learning rate is multiplied by for the update after `step` updates."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if not self.decay:
            return 1.0
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return FINAL_LR + (1 - FINAL_LR) * (1 + math.cos(math.pi * done)) / 2

    @classmethod
    def load(cls, out: Path) -> "LongRun":
        """The settings of the run that was begun in a folder.

        Raises:
            InputError: if there is none.
        """
        history = History.load(out / History.FILE)
        try:
            return cls(**history.settings)
        except TypeError:
            raise InputError(
                f"{out} was not recorded by umup-diag record, so it cannot be resumed by it."
            ) from None


def train(
    run: LongRun,
    subject: Subject,
    batches: Batches,
    out: Path,
    *,
    device: torch.device,
    resume: bool = False,
    progress: Callable[[int], None] | None = None,
) -> History:
    """Train and record; stops early at a loss that is not finite.

    Snapshots are of steps 0, `every`, …, and the last is taken after the last update if it is due.
    A resumed run ends in the same bits as one that was never stopped.

    Args:
        run: the settings.
        subject: what to train.
        batches: what on.
        out: folder for the recording, and for the state to resume from.
        device: where.
        resume: take up what is in `out`.
        progress: called with the number of updates done.

    Raises:
        InputError: if there is nothing to resume, or the subject fails.
    """
    torch.manual_seed(run.seed)
    model = subject.model(run.width).to(device)
    optimizer = _optimizer(run, subject, model)
    schedule = LambdaLR(optimizer, run.rate)
    first, pending = 0, list[float]()
    if resume and (out / STATE).exists():
        first, pending = _restore(out / STATE, model, optimizer, schedule)
    settings = asdict(run)
    saved = monotonic()
    with (
        simulate_fp8(model, run.fp8) if run.fp8 else nullcontext(),
        record(
            model, every=run.every, to=out, step=first, manual=True, settings=settings
        ) as recording,
    ):
        for known in pending:
            recording.loss(known)
        left = run.steps - first + (run.steps % run.every == 0)
        for step, batch in enumerate(batches.take(left, device, skip=first), start=first):
            loss = scalar_loss(subject, model, batch)
            loss.backward()
            recording.step()
            if step == run.steps:
                break
            recording.loss(loss)
            if not loss.isfinite():
                break
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            if progress is not None:
                progress(step + 1)
            if monotonic() - saved > SAVE_SECONDS:
                _save(out / STATE, step + 1, recording, model, optimizer, schedule)
                saved = monotonic()
        recording.finish()
    (out / STATE).unlink(missing_ok=True)
    return History.load(out / History.FILE)


def _optimizer(run: LongRun, subject: Subject, model: nn.Module) -> torch.optim.Optimizer:
    if run.optimizer is None:
        assert subject.optimizer is not None
        return subject.optimizer(model)
    assert run.lr is not None
    groups = subject.groups(model, optimizer=run.optimizer, lr=run.lr)
    return optimizers.get(run.optimizer).build(groups)


def _save(
    path: Path,
    done: int,
    recording: LiveRecording,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
) -> None:
    """Write what a resumed run needs, whole or not at all."""
    state = {
        "done": done,
        "losses": recording.losses,
        "random": torch.get_rng_state(),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _restore(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: LambdaLR
) -> tuple[int, list[float]]:
    """Put a saved state back; gives the updates done and the losses no snapshot has yet."""
    state: dict[str, Any] = torch_file.load(path, str(path), map_location="cpu")
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        return int(state["done"]), list(state["losses"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not fit this run ({str(error).splitlines()[0][:100]}).\nStart it anew."
        ) from None
