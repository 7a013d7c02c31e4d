"""A coord check of a subject at hand, without a folder."""

import torch

from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.measure import complete, sweep
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.result import Result
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.recording import Recording

WIDTHS = (64, 128, 256)


def judged(
    subject: Subject,
    *,
    widths: tuple[int, ...] = WIDTHS,
    seeds: int = 3,
    optimizer: str | None = None,
    lr: float | None = None,
    batch_size: int = 2,
    spectral: bool = False,
) -> Result:
    """Train two updates of a few bytes at each width and seed, and judge."""
    settings = CoordcheckSettings(
        model=subject.name,
        widths=widths,
        seeds=seeds,
        steps=2,
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        seq_len=8,
        spectral=spectral,
    )
    settings = complete(settings, subject)
    recording = Recording(command="coordcheck", settings=settings.encode(), environment={})
    sweep(subject, Corpus.load(), settings, recording, device=torch.device("cpu"))
    return judge(recording, settings)


def causes(result: Result) -> dict[str, tuple[str | None, str]]:
    """tensor → (cause, fix in words) of the findings that have a fix."""
    return {f.tensor: (f.cause, str(f.fix)) for f in result.findings if f.fix}
