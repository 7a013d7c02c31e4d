"""Every tensor of freshly initialised models, over widths, seeds and batches."""

from dataclasses import replace

import torch

from umup_diag.checks.unit_scale import UNIT_SCALE
from umup_diag.checks.unit_scale.settings import UnitScaleSettings
from umup_diag.measure import environment
from umup_diag.measure.data.run_seed import run_seed
from umup_diag.measure.init_pass import init_passes
from umup_diag.measure.subject import Subject
from umup_diag.measure.workplace import Progress, Workplace, silent
from umup_diag.recording import Recording


def measure(settings: UnitScaleSettings, workplace: Workplace) -> Recording:
    """Measure every model into a new recording.

    Raises:
        InputError: if the model cannot be loaded, built or run, or the folder not written.
    """
    device = environment.device(settings.device)
    subject = Subject.load(settings.model, build=settings.build)
    recording = Recording.create(
        workplace.out,
        command=UNIT_SCALE.name,
        settings=settings.encode(),
        environment=environment.environment(device),
    )
    record(subject, settings, recording, device=device, progress=workplace.progress)
    return recording


def record(
    subject: Subject,
    settings: UnitScaleSettings,
    recording: Recording,
    *,
    device: torch.device,
    progress: Progress = silent,
) -> None:
    """Add a frame for each batch through each model of a subject."""
    labels = {width: f"width {width:>5}" for width in settings.width}
    for label in labels.values():
        progress(label, 0, settings.seeds)
    for width, label in labels.items():
        for seed in range(settings.seeds):
            frames = init_passes(
                subject,
                width=width,
                batches=settings.batches,
                batch_size=settings.batch_size,
                seq_len=settings.seq_len,
                stream=run_seed(settings.seed, seed),
                device=device,
            )
            recording.append(
                *(replace(f, point={"width": width, "seed": seed, **f.point}) for f in frames)
            )
            progress(label, seed + 1, settings.seeds)
