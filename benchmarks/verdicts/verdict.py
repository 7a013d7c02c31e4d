"""The one file that knows how a verdict is asked for and read: case in, `Outcome` out."""

import time
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from benchmarks.verdicts.case import Case
from benchmarks.verdicts.manifest import find
from umup_diag.checks.coordcheck import COORDCHECK
from umup_diag.checks.coordcheck.finding import SlopeFinding, first_offender
from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.measure import complete, sweep
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.fix import Fix, Multiply
from umup_diag.measure.data.corpus import Corpus
from umup_diag.recording import Recording

Seeds = int | str | None  #: of a coord check; None for its default


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a check said of a case.

    Attributes:
        verdict: PASS, FAIL or INCONCLUSIVE; empty after an error.
        first_tensor: the first offender that it names.
        cause: of it.
        power: of width by which it is wrong, the fix being width^-power; None if it gives none.
        blamed: every tensor that is given a fix.
        seconds: wall time.
        error: what was raised, if anything.
    """

    verdict: str = ""
    first_tensor: str = ""
    cause: str = ""
    power: float | None = None
    blamed: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""

    @classmethod
    def decode(cls, fields: dict[str, Any]) -> "Outcome":
        """From what JSON gives back."""
        return cls(**{**fields, "blamed": tuple(fields["blamed"])})

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run(case: Case, *, seeds: Seeds = None, keep: Path | None = None) -> Outcome:
    """Ask for a verdict on one thread.

    Args:
        case: what to judge.
        seeds: other than the default number.
        keep: folder of recordings; runs that stand in it are judged anew and not done again.
    """
    torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        outcome = _run(case, seeds, keep)
    except Exception as error:  # a crash is an outcome too
        outcome = {"error": f"{type(error).__name__}: {error}"}
    return Outcome(**outcome, seconds=round(time.perf_counter() - start, 2))


def run_by_name(name: str, *, seeds: Seeds = None, keep: Path | None = None) -> tuple[str, Outcome]:
    """The same in another process, which is told no more than a name."""
    case = find(name)
    assert case is not None
    return name, run(case, seeds=seeds, keep=keep)


def _run(case: Case, seeds: Seeds, keep: Path | None) -> dict[str, Any]:
    subject = case.subject()
    asked = CoordcheckSettings(model=subject.name, widths=case.widths, optimizer=case.asked)
    settings = complete(asked if seeds is None else replace(asked, seeds=seeds), subject)
    recording = _recording(settings, None if keep is None else keep / case.name)
    sweep(subject, Corpus.load(), settings, recording, device=torch.device("cpu"))
    result = judge(recording, settings)
    slopes = [finding for finding in result.findings if isinstance(finding, SlopeFinding)]
    first = first_offender(slopes)
    return {
        "verdict": str(result.verdict),
        "first_tensor": first.tensor if first else "",
        "cause": (first.cause or "") if first else "",
        "power": _power(first.fix) if first and first.fix else None,
        "blamed": tuple(sorted({f.tensor for f in slopes if f.fix})),
    }


def _recording(settings: CoordcheckSettings, folder: Path | None) -> Recording:
    if folder is None:
        return Recording(command=COORDCHECK.name, settings=settings.encode(), environment={})
    if (folder / Recording.FILE).exists():
        return Recording.resume(folder)
    return Recording.create(
        folder, command=COORDCHECK.name, settings=settings.encode(), environment={}
    )


def _power(fix: Fix) -> float | None:
    """Of the first step, with the other sign."""
    match fix.steps[0]:
        case Multiply(exponent=float(exponent)):
            return -exponent
        case _:
            return None


def tensor_is_right(case: Case, tensor: str) -> bool:
    """Whether a tensor is at fault, or may be named as rightly."""
    assert case.fault is not None
    return any(fnmatchcase(tensor, pattern) for pattern in case.fault.tensors + case.fault.also)


def cause_is_right(case: Case, cause: str) -> bool:
    """Whether one of the accepted causes is named."""
    assert case.fault is not None
    return any(accepted in cause.split(" and ") for accepted in case.fault.causes)


def power_is_right(case: Case, outcome: Outcome) -> bool:
    """Whether the power is within 0.2 of that of the cause that is named."""
    assert case.fault is not None
    named = [p for cause, p in case.fault.causes.items() if cause in outcome.cause.split(" and ")]
    return outcome.power is not None and any(abs(outcome.power - p) <= 0.2 for p in named)
