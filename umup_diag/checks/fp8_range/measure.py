"""Count the tensors of checkpoints, of a model that they are loaded into, or of a training run."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from umup_diag.checks.fp8_range.settings import FileRangeSettings, RangeSettings, RunRangeSettings
from umup_diag.checks.fp8_range.target_formats import block_formats
from umup_diag.checks.fp8_range.watch import recorded, watch
from umup_diag.checks.result import NoteKind
from umup_diag.errors import InputError
from umup_diag.measure import environment, long_run
from umup_diag.measure.checkpoint.checkpoint import Checkpoint, in_order, select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan
from umup_diag.measure.checkpoint.trial import Trial, fitting_width
from umup_diag.measure.data.batches import Batches
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Frame, Recording
from umup_diag.settings.shared import TrainingRunSettings

Steps = list[tuple[int | None, Checkpoint]]  #: in order
Notes = list[tuple[str, str]]  #: as a `Recording` has them


def measure(settings: RangeSettings, workplace: Workplace) -> Recording:
    """The selected tensors of files, or of a training run that is recorded into the workplace.

    Raises:
        InputError: for an unknown format, or what cannot be read, trained or recorded; if the
            selection leaves nothing.
    """
    block_formats(settings)  # an unknown format is no reason to train first
    match settings:
        case RunRangeSettings(checkpoint=Path() as checkpoint):
            chosen: dict[str, Any] = {
                **RangeSettings.decode(settings.encode()).encode(),
                "sources": (checkpoint,),
            }
            chosen |= {"seed": settings.seed, "device": settings.device}
            recording = _of_files(FileRangeSettings(**chosen), workplace)
        case RunRangeSettings():
            training = TrainingRunSettings.decode(settings.encode())
            recording = long_run.train(training, workplace)
        case FileRangeSettings():
            recording = _of_files(settings, workplace)
        case _:
            raise TypeError(f"{type(settings).__name__} names nothing to measure")
    return recording.select(
        include=settings.include,
        exclude=settings.exclude,
        vectors=False,  # no matmul casts them
        until=settings.until,
    )


def _of_files(settings: FileRangeSettings, workplace: Workplace) -> Recording:
    """Of one recording, as it is; or of checkpoints, recorded into the workplace."""
    device = environment.device(settings.device)
    header: dict[str, Any] = {
        "command": "fp8-range",
        "settings": {"sources": [str(source) for source in settings.sources]},
        "environment": {**environment.environment(device), "seed": settings.seed},
    }
    if len(settings.sources) == 1 and Recording.is_in(settings.sources[0]):
        if settings.watch:
            return Recording(**header, frames=watch(settings.sources[0], settings, workplace))
        return Recording(**header, frames=recorded(Recording.load(settings.sources[0])))
    if settings.watch:
        raise InputError("--watch follows one recording: the folder that a training run writes to.")
    checkpoints = in_order([*map(open_checkpoint, settings.sources)], settings.steps)
    if settings.model is None:
        frames, notes = _scanned(checkpoints, settings, workplace)
    else:
        frames, notes = _tried(checkpoints, settings.model, settings, device)
    recording = Recording.create(workplace.out, **header, notes=notes)
    recording.append(*frames)
    return recording


def _scanned(
    checkpoints: Steps, settings: FileRangeSettings, workplace: Workplace
) -> tuple[list[Frame], Notes]:
    """Every element of the selected tensors, counted."""
    selections = [
        select(checkpoint, include=settings.include, exclude=settings.exclude)
        for _, checkpoint in checkpoints
    ]
    labels = [str(checkpoint.path) for _, checkpoint in checkpoints]
    totals = [len(selection.tensors) for selection in selections]
    for label, total in zip(labels, totals, strict=True):
        workplace.progress(label, 0, total)
    frames = [
        scan(
            selection.tensors,
            step=step,
            blocks=block_formats(settings),
            progress=partial(workplace.progress, label),
        )
        for (step, _), selection, label in zip(checkpoints, selections, labels, strict=True)
    ]
    notes: dict[tuple[str, str], None] = {}  # each once, though several checkpoints have it
    for selection in selections:
        notes |= dict.fromkeys((NoteKind.NOT_JUDGED, text) for text in selection.left_out)
        notes |= dict.fromkeys((NoteKind.CAUTION, text) for text in selection.cautions)
    return frames, list(notes)


def _tried(
    checkpoints: Steps, model: str, settings: FileRangeSettings, device: torch.device
) -> tuple[list[Frame], Notes]:
    """A model that the checkpoints are loaded into, run on a few batches."""
    subject = Subject.load(model)
    trial = Trial(
        subject=subject,
        width=settings.width or fitting_width(subject, checkpoints[0][1]),
        batches=Batches(
            subject=subject,
            corpus=Corpus.load(settings.text),
            batch_size=settings.batch_size,
            seq_len=settings.seq_len,
            seed=settings.seed,
        ),
        count=settings.batches,
        device=device,
    )
    text = (
        f"Inputs and gradients are of {trial.count} batches through {subject.name} at width "
        f"{trial.width}, without updates."
    )
    frames = [trial.run(checkpoint, step) for step, checkpoint in checkpoints]
    return frames, [(NoteKind.REMARK, text)]
