"""Count the tensors of checkpoints, of a model that they are loaded into, or of a training run."""

from functools import partial

import torch

from umup_diag.checks.fp8_range.settings import FileRangeSettings, RangeSettings, RunRangeSettings
from umup_diag.checks.fp8_range.target_formats import block_formats
from umup_diag.checks.result import NoteKind
from umup_diag.errors import InputError
from umup_diag.measure import environment, long_run
from umup_diag.measure.checkpoint.checkpoint import Checkpoint, in_order, select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan
from umup_diag.measure.checkpoint.trial import Trial, fitting_width
from umup_diag.measure.data.batches import Batches
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.recorder import MATMUL_KINDS
from umup_diag.measure.subject import Subject
from umup_diag.measure.workplace import Workplace
from umup_diag.numerics.histogram import CodeHistogram
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
    block_formats(settings.formats)  # an unknown format is no reason to train first
    match settings:
        case RunRangeSettings():
            run = TrainingRunSettings.decode(settings.encode())
            recording = long_run.train(run, workplace)
        case FileRangeSettings():
            recording = _of_files(settings, workplace)
        case _:
            raise TypeError(f"{type(settings).__name__} names nothing to measure")
    return recording.select(
        include=settings.include, exclude=settings.exclude, until=settings.until
    )


def _of_files(settings: FileRangeSettings, workplace: Workplace) -> Recording:
    """Of one recording, or of checkpoints: in memory."""
    device = environment.device(settings.device)
    notes: Notes = []
    if len(settings.sources) == 1 and Recording.is_in(settings.sources[0]):
        frames = _recorded(Recording.load(settings.sources[0]))
    else:
        checkpoints = in_order([*map(open_checkpoint, settings.sources)], settings.steps)
        if settings.model is None:
            frames, notes = _scanned(checkpoints, settings, workplace)
        else:
            frames, notes = _tried(checkpoints, settings.model, settings, device)
    return Recording(
        command="fp8-range",
        settings={"sources": [str(source) for source in settings.sources]},
        environment={**environment.environment(device), "seed": settings.seed},
        notes=notes,
        frames=frames,
    )


def _recorded(recording: Recording) -> list[Frame]:
    is_of_training = all(
        isinstance(record.statistics, CodeHistogram) and record.kind in MATMUL_KINDS
        for _, record in recording
    )
    if not is_of_training:
        raise InputError(
            f"{recording.path} is not a recording of a training run, but of umup-diag "
            f"{recording.command}.\nGive one that umup-diag record wrote, or a checkpoint."
        )
    return recording.frames


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
            blocks=block_formats(settings.formats),
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
