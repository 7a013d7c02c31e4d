"""Training a subject for as long as asked, recorded at a cadence, that can be taken up again."""

import math
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from umup_diag.errors import InputError
from umup_diag.measure import environment
from umup_diag.measure.checkpoint import torch_file
from umup_diag.measure.data.batches import Batches
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.live import COMMAND, LiveRecording, is_begun, recordable
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss
from umup_diag.measure.users_code import calling
from umup_diag.measure.workplace import Workplace
from umup_diag.numerics.simulate import simulate_fp8
from umup_diag.recording import Recording
from umup_diag.settings.shared import TrainingRunSettings

STATE = "state.pt"
SAVE_SECONDS = 30.0
"""A kill loses no more training than this, and one frame's worth."""
FINAL_LR = 0.1  # of the peak, at the end of a decay
_DIGEST = "text_digest"


def recorded_settings(folder: Path, *, device: str) -> TrainingRunSettings:
    """The settings of the run that was begun in a folder, to go on with on a device.

    Raises:
        InputError: if there is none, or if it is a user's own loop.
    """
    if not is_begun(folder):
        raise InputError(
            f"{folder} holds no recording yet: the run was stopped before it had begun one.\n"
            "Start it anew, without --resume."
        )
    recording = Recording.load(folder)
    if recording.command != COMMAND:
        raise InputError(
            f"{folder} holds a recording of umup-diag {recording.command}, so record cannot go on "
            "with it.\nStart this one in another folder, by --out, without --resume."
        )
    if _DIGEST not in recording.environment:
        raise InputError(
            f"{folder} was recorded by a loop of yours, so umup-diag record cannot go on with it.\n"
            f"Go on with that loop, or judge it with umup-diag fp8-range {folder}."
        )
    return TrainingRunSettings.decode({**recording.settings, "device": device})


def train(settings: TrainingRunSettings, workplace: Workplace) -> Recording:
    """Train and record; stops early at a loss that is not finite.

    Frames are of steps 0, `every`, …, and the last is taken after the last update if it is due. A
    resumed run ends in the same bytes as one that was never stopped.

    Args:
        settings: of the run; to resume it, as `recorded_settings` gives them.
        workplace: folder of the recording and of the state to resume from.

    Raises:
        InputError: if the subject or its text cannot be loaded or has changed, if the subject
            fails or brings a step of its own, or if there is nothing to resume.
    """
    device = environment.device(settings.device)
    subject = Subject.load(settings.model, build=settings.build)
    if subject.step is not None:
        raise InputError(
            f"--model {settings.model} brings its own step(model, batch, optimizer), and record "
            "trains by loss and optimizer alone.\nPut umup_diag.record(model, to=…) around your "
            "own loop."
        )
    corpus = Corpus.load(settings.text)
    optimizer_name, lr = subject.choose_optimizer(
        settings.optimizer, settings.lr, settings.weight_decay
    )
    settings = replace(settings, optimizer=optimizer_name, lr=lr)
    torch.manual_seed(settings.seed)
    model = subject.model(settings.width).to(device)
    optimizer = build_optimizer(settings, subject, model)
    schedule = LambdaLR(optimizer, lambda step: rate(settings, step))
    first, pending = 0, list[float]()
    if workplace.resume:
        _require_same_text(workplace.out, corpus)
        if (workplace.out / STATE).exists():
            first, pending = _restore(workplace.out / STATE, model, optimizer, schedule)
    batches = Batches(
        subject=subject,
        corpus=corpus,
        batch_size=settings.batch_size,
        seq_len=settings.seq_len,
        seed=settings.seed,
    )
    saved = monotonic()
    workplace.progress("updates", first, settings.steps)
    with ExitStack() as stack:
        if settings.fp8:
            stack.enter_context(simulate_fp8(model, settings.fp8))
        recording = _recording(settings, workplace.out, corpus, device, first)
        live = LiveRecording(
            recordable(model),
            recording,
            every=settings.every,
            done=first,
            strict=True,
            blocks=settings.blocks.split(",") if settings.blocks else (),
            sample_weights=settings.sample_weights,
        )
        stack.enter_context(live.attached(manual=True))
        for value in pending:
            live.loss(value)
        left = settings.steps - first + (settings.steps % settings.every == 0)
        for step, batch in enumerate(batches.take(left, device, skip=first), start=first):
            loss = scalar_loss(subject, model, batch)
            with calling(f"--model {subject.name}: the backward pass"):
                loss.backward()
            live.step()
            if step == settings.steps:
                break
            live.loss(loss)
            if not loss.isfinite():
                break
            with calling(f"--model {subject.name}: optimizer.step()"):
                optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            workplace.progress("updates", step + 1, settings.steps)
            if monotonic() - saved > SAVE_SECONDS:
                _save(workplace.out / STATE, step + 1, live, model, optimizer, schedule)
                saved = monotonic()
        live.finish()
    (workplace.out / STATE).unlink(missing_ok=True)
    return Recording.load(workplace.out)


def rate(settings: TrainingRunSettings, step: int) -> float:
    """What the peak learning rate is multiplied by for the update after `step` updates."""
    if step < settings.warmup:
        return (step + 1) / (settings.warmup + 1)
    if not settings.decay:
        return 1.0
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return FINAL_LR + (1 - FINAL_LR) * (1 + math.cos(math.pi * done)) / 2


def _recording(
    settings: TrainingRunSettings, folder: Path, corpus: Corpus, device: torch.device, done: int
) -> Recording:
    """What was recorded of the updates that are done; a new one if none is."""
    if done:
        return Recording.resume(folder, until=done - 1)
    found_out = {"seed": settings.seed, _DIGEST: corpus.digest}
    return Recording.create(
        folder,
        command=COMMAND,
        settings=settings.encode(),
        environment={**environment.environment(device), **found_out},
    )


def _require_same_text(folder: Path, corpus: Corpus) -> None:
    if Recording.load(folder).environment.get(_DIGEST) != corpus.digest:
        raise InputError(f"the text {corpus.name} has changed since the run began; start anew.")


def build_optimizer(
    settings: TrainingRunSettings, subject: Subject, model: nn.Module
) -> torch.optim.Optimizer:
    """The named optimizer, or the subject's own where the settings name none.

    Raises:
        InputError: for an unknown name, or a weight decay that the subject does not take.
    """
    if settings.optimizer is None:
        return subject.own_optimizer(model)
    assert settings.lr is not None
    groups = subject.groups(
        model,
        optimizer=settings.optimizer,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
    )
    return subject.named_optimizer(settings.optimizer, groups)


def _save(
    path: Path,
    done: int,
    live: LiveRecording,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
) -> None:
    """Write what a resumed run needs, whole or not at all."""
    state = {
        "done": done,
        "losses": live.losses,
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
    """Put a saved state back; gives the updates done, and the losses since the last frame."""
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
