"""What changed between two runs.

Frames of the same point and step make a pair; the change is log2 of the tensor's RMS (or of the
size of the number that was measured) in B over that in A. With several seeds the interval is
Student's over seeds. With one it comes from the steps, widened for what neighbours have in common.
"""

from collections.abc import Iterable, Mapping
from math import inf, isfinite, log2, nan

import numpy as np

from umup_diag.checks.compare.finding import ChangeFinding
from umup_diag.checks.compare.measure import RUN
from umup_diag.checks.compare.settings import CompareSettings
from umup_diag.checks.interval import Mean
from umup_diag.checks.result import Note, NoteKind, Result, Verdict
from umup_diag.checks.verdict import equivalence
from umup_diag.errors import InputError
from umup_diag.recording import Frame, Recording, TensorRecord

_SEED = "seed"
Place = tuple[tuple[tuple[str, float], ...], int | None]  #: point and step
Tensor = tuple[str, str]  #: name and kind


def judge(recording: Recording, settings: CompareSettings) -> Result:
    """Compare the tensors that both runs have.

    Raises:
        InputError: if no frame of one has its like in the other.
    """
    runs = [
        _by_tensor(frame for frame in recording.frames if frame.point[RUN] == n) for n in (0, 1)
    ]
    a, b = runs
    findings = [
        finding
        for tensor in a
        if tensor in b and (finding := _finding(a[tensor], b[tensor], settings.band))
    ]
    if not findings:
        raise InputError(
            f"{settings.run_a} and {settings.run_b} have no tensor of the same point and step."
        )
    findings.sort(key=lambda f: (f.verdict.severity, -abs(f.change), f.order))
    notes = [Note(kind=NoteKind(kind), text=text) for kind, text in recording.notes]
    for name, one, other in (("A", a, b), ("B", b, a)):
        if alone := sorted({tensor for tensor, _ in one.keys() - other.keys()}):
            text = f"In {name} alone: {', '.join(alone[:8])}{', …' if len(alone) > 8 else ''}."
            notes.append(Note(kind=NoteKind.NOT_JUDGED, text=text))
    if max(finding.pairs for finding in findings) == 1:
        text = "One pair of frames gives no interval: record more steps, or more seeds."
        notes.append(Note(kind=NoteKind.CAUTION, text=text))
    notes += _loss_note(recording)
    return Result(
        command="compare",
        settings={**recording.settings, "band": settings.band, "after": settings.after},
        environment=recording.environment,
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _by_tensor(frames: Iterable[Frame]) -> dict[Tensor, dict[Place, TensorRecord]]:
    found: dict[Tensor, dict[Place, TensorRecord]] = {}
    for frame in frames:
        point = tuple(item for item in frame.point.items() if item[0] != RUN)
        for record in frame.records:
            found.setdefault((record.tensor, record.kind), {})[point, frame.step] = record
    return found


def _finding(
    a: Mapping[Place, TensorRecord], b: Mapping[Place, TensorRecord], band: float
) -> ChangeFinding | None:
    places = [place for place in a if place in b]
    if not places:
        return None
    changes = {place: _change(a[place].value, b[place].value) for place in places}
    record = b[places[-1]]
    mean = _mean(changes)
    sizes = [_log2(a[place].value) for place in places]
    interval = (mean.low, mean.high)
    verdict = Verdict.FAIL if not isfinite(mean.mean) else equivalence(interval, (-band, band))
    return ChangeFinding(
        tensor=record.tensor,
        kind=record.kind,
        verdict=verdict,
        cause=_cause(mean, verdict),
        order=record.order,
        pairs=len(places),
        seeds=mean.seeds if _seeds(changes) else 1,
        before=float(np.mean(sizes)),
        change=mean.mean,
        interval=interval,
        last=changes[places[-1]],
        band=band,
        points=tuple((step, changes[_, step]) for _, step in places),
    )


def _mean(changes: Mapping[Place, float]) -> Mean:
    """Over seeds where there are several, else over the steps."""
    values = list(changes.values())
    if not any(values):  # not a bit differs: there is nothing to be unsure of
        return Mean(mean=0.0, low=0.0, high=0.0, std=0.0, seeds=max(1, len(_seeds(changes))))
    if not all(map(isfinite, values)):
        return Mean(mean=float(np.mean(values)), low=nan, high=nan, std=nan, seeds=1)
    seeds = _seeds(changes)
    return Mean.of(list(map(np.mean, seeds))) if len(seeds) > 1 else Mean.of_series(values)


def _seeds(changes: Mapping[Place, float]) -> list[list[float]]:
    """The changes of each seed; none where runs have no seed on their axes."""
    found: dict[float, list[float]] = {}
    for (point, _), change in changes.items():
        if (seed := dict(point).get(_SEED)) is not None:
            found.setdefault(seed, []).append(change)
    return list(found.values())


def _change(a: float, b: float) -> float:
    """Octaves from one to the other; infinite if one of them is zero."""
    if a == b or (a != a and b != b):
        return 0.0
    return _log2(b) - _log2(a)


def _log2(value: float) -> float:
    return log2(abs(value)) if value else -inf


def _cause(mean: Mean, verdict: Verdict) -> str | None:
    if verdict is not Verdict.FAIL:
        return None
    if not isfinite(mean.mean):
        return "it is zero or not finite in one of the two runs alone"
    return f"it is 2^{mean.mean:+.2f} times what it was"


def _loss_note(recording: Recording) -> list[Note]:
    """The difference of the losses over the last half of what both runs trained."""
    a, b = (
        [loss for frame in recording.frames if frame.point[RUN] == n for loss in frame.losses]
        for n in (0, 1)
    )
    together = min(len(a), len(b))
    points = {tuple(frame.point.items()) for frame in recording.frames}
    if together < 4 or len(points) > 2:  # of a sweep the losses say little
        return []
    late = slice(together // 2, together)
    difference = Mean.of_series([y - x for x, y in zip(a[late], b[late], strict=True)])
    text = (
        f"Loss over the last {len(a[late])} updates of both: {np.mean(a[late]):.4f} in A, "
        f"{np.mean(b[late]):.4f} in B, {difference.mean:+.4f} "
        f"({difference.low:+.4f} … {difference.high:+.4f})."
    )
    return [Note(kind=NoteKind.REMARK, text=text)]
