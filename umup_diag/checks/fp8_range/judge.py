"""Whether tensors fit in FP8, now and as training goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, log2
from typing import Any

from umup_diag.checks.fp8_range.forecast import Forecast, forecast, in_words
from umup_diag.checks.fp8_range.format_fit import Flag, FormatFit, Limits, explain, fit, safe_scale
from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.numerics.block import SELF_SCALED
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.numerics import formats
from umup_diag.scaling.kinds import Kind, kind_order

#: What each kind is held to if nothing else is asked for, and what is shown beside it. Gradients
#: need the range more than the mantissa: the usual FP8 recipes give them E5M2.
DEFAULT_FORMATS: Mapping[Kind, tuple[str, ...]] = {
    Kind.INPUT: ("E4M3FN", "E5M2"),
    Kind.WEIGHT: ("E4M3FN", "E5M2"),
    Kind.GRAD_OUTPUT: ("E5M2", "E4M3FN"),
}
HORIZON = 3
"""How far ahead is forecast, in lengths of what was seen."""

Key = tuple[str, Kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeFinding(Finding):
    """One tensor, in the format that it is held to and in those beside it.

    Attributes:
        step: of the snapshot that these numbers are of, the worst; None where nobody knows.
        since: first step with this flag.
        order: place in the forward pass, or in the checkpoint.
        format: that the verdict is about.
        count: elements.
        rms: of the finite ones.
        absmax: of the finite ones.
        smallest_nonzero: of the finite ones.
        flag: what is the matter.
        underflow_fraction: as in `FormatFit`, and so the following.
        subnormal_fraction: share that becomes subnormal.
        overflow_fraction: share that rounds beyond the largest value.
        headroom_high: octaves from absmax to the largest value.
        headroom_low: octaves from the smallest normal value to RMS.
        sqnr_db: of the cast.
        best_scale_log2: best power of two.
        best_sqnr_db: and what it makes of `sqnr_db`.
        beside: the other formats.
        points: (step, RMS, absmax) of every snapshot.
        forecasts: of absmax and of RMS, where there are three snapshots or more.
    """

    step: int | None
    since: int | None
    order: int
    format: str
    count: int
    rms: float
    absmax: float
    smallest_nonzero: float
    flag: str
    underflow_fraction: float
    subnormal_fraction: float
    overflow_fraction: float
    headroom_high: float
    headroom_low: float
    sqnr_db: float
    best_scale_log2: int | None
    best_sqnr_db: float
    beside: tuple[Mapping[str, Any], ...]
    points: tuple[tuple[int | None, float, float], ...]
    forecasts: tuple[Forecast, ...]

    @property
    def severity(self) -> Flag:
        """The flag, comparable."""
        return Flag[self.flag.upper()]

    @property
    def crossing(self) -> Forecast | None:
        """The earliest crossing within the horizon."""
        ahead = [each for each in self.forecasts if each.verdict is Verdict.FAIL]
        return min(ahead, key=lambda each: each.crossing or 0.0, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the tensors.

    Attributes:
        formats: all kinds are held to the first, the rest are shown beside it; empty for
            `DEFAULT_FORMATS`.
        limits: where flags begin.
        strict: whether near a limit fails, and a forecast crossing too.
        horizon: steps after the last one to forecast; None for `HORIZON` times what was seen.
    """

    formats: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    horizon: int | None = None

    def formats_of(self, kind: Kind) -> tuple[str, ...]:
        """The format that a kind is held to, and those beside it."""
        return self.formats or DEFAULT_FORMATS.get(kind, DEFAULT_FORMATS[Kind.WEIGHT])

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block formats among them, which must be measured apart."""
        return tuple(name for name in self.formats if name in SELF_SCALED)


def judge(
    snapshots: Sequence[Snapshot],
    question: Question,
    *,
    settings: Mapping[str, Any],
    environment: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Result:
    """Judge snapshots of a model, in the order of steps.

    Raises:
        InputError: if a block format is asked for and not measured.
    """
    series: dict[Key, list[tuple[int | None, TensorHistogram]]] = {}
    for snapshot in snapshots:
        for seen in snapshot.tensors:
            series.setdefault((seen.tensor, seen.kind), []).append((snapshot.step, seen))
    findings = [_finding(each, question, len(series)) for each in series.values()]
    findings.sort(key=_worst_first)
    return Result(
        command="fp8-range",
        settings=settings,
        environment=environment,
        findings=tuple(findings),
        notes=(*notes, *_notes(findings)),
    )


def _finding(
    seen: Sequence[tuple[int | None, TensorHistogram]], question: Question, series: int
) -> RangeFinding:
    name, *beside = question.formats_of(seen[0][1].kind)
    fits = [fit(each, name, question.limits) for _, each in seen]
    worst = max(range(len(fits)), key=lambda i: (*_badness(fits[i]), i))
    step, tensor = seen[worst]
    found = fits[worst]
    others = [fit(tensor, other, question.limits) for other in beside]
    points = tuple((at, each.histogram.rms, each.histogram.absmax) for at, each in seen)
    ahead = _forecasts(points, name, question, series)
    is_ahead = any(each.verdict is Verdict.FAIL for each in ahead)
    fails = found.flag.fails or (question.strict and (found.flag > Flag.OK or is_ahead))
    histogram = tensor.histogram
    return RangeFinding(
        tensor=tensor.tensor,
        kind=tensor.kind,
        verdict=Verdict.FAIL if fails else Verdict.PASS,
        cause=_cause(explain(found.flag, tensor, found, question.limits), ahead),
        fix=_fix(tensor, found, others, question.limits),
        step=step,
        since=next(at for (at, _), each in zip(seen, fits, strict=True) if each.flag is found.flag),
        order=tensor.order,
        count=histogram.count,
        rms=histogram.rms,
        absmax=histogram.absmax,
        smallest_nonzero=histogram.smallest_nonzero,
        beside=tuple(map(_fields, others)),
        points=points,
        forecasts=ahead,
        **_fields(found),
    )


def _cause(now: str | None, ahead: Sequence[Forecast]) -> str | None:
    """What is the matter now, and what will be."""
    later = [in_words(each) for each in ahead if each.verdict is Verdict.FAIL]
    return "; ".join([now, *later] if now else later) or None


def _badness(found: FormatFit) -> tuple[int, float, float]:
    return found.flag, found.overflow_fraction + found.underflow_fraction, -found.headroom_high


def _fields(found: FormatFit) -> dict[str, Any]:
    names = FormatFit.__dataclass_fields__
    return {name: getattr(found, name) for name in names} | {"flag": found.flag.label}


def _fix(
    tensor: TensorHistogram, found: FormatFit, others: Sequence[FormatFit], limits: Limits
) -> str | None:
    """What would make it fit: another format, or a power of two before the cast."""
    if found.flag in (Flag.OK, Flag.NON_FINITE):
        return None
    ways = [f"cast it to {other.format}" for other in others if other.flag is Flag.OK][:1]
    if found.format not in SELF_SCALED:
        scale = safe_scale(tensor.histogram, formats.get(found.format), limits)
        if scale is not None:
            ways.append(f"scale it by 2^{scale} before the cast")
    return " or ".join(ways) if ways else "keep it in higher precision"


def _forecasts(
    points: Sequence[tuple[int | None, float, float]], name: str, question: Question, series: int
) -> tuple[Forecast, ...]:
    known = [(step, rms, absmax) for step, rms, absmax in points if step is not None]
    if len(known) < 3 or name in SELF_SCALED:
        return ()
    fmt, steps = formats.get(name), [step for step, _, _ in known]
    ahead = question.horizon or HORIZON * (steps[-1] - steps[0])
    top, bottom = log2(fmt.overflow_threshold), log2(fmt.min_normal)
    tried = (
        ("absmax", [_log2(absmax) for _, _, absmax in known], top, True),
        ("rms", [_log2(rms) for _, rms, _ in known], bottom, False),
    )
    made = (
        forecast(
            quantity,
            steps,
            values,
            limit,
            upwards=upwards,
            horizon=steps[-1] + ahead,
            series=2 * series,
        )
        for quantity, values, limit, upwards in tried
    )
    return tuple(each for each in made if each is not None)


def _log2(value: float) -> float:
    return log2(value) if value > 0 and isfinite(value) else float("nan")


def _worst_first(finding: RangeFinding) -> tuple[float, ...]:
    crossing = finding.crossing
    room = min(finding.headroom_high, finding.headroom_low)
    return (
        -finding.severity,
        -(finding.overflow_fraction + finding.underflow_fraction),
        crossing.crossing or 0.0 if crossing else float("inf"),
        room if isfinite(room) else float("inf"),
        kind_order(finding.kind),
        finding.order,
    )


def _notes(findings: Sequence[RangeFinding]) -> list[str]:
    notes = []
    empty = sum(not finding.count for finding in findings)
    if empty:
        notes.append(f"{empty} of the tensors have no elements.")
    if any(finding.format in SELF_SCALED for finding in findings):
        notes.append(
            "In a block format every few elements have a scale of their own: what is judged is the "
            "share that becomes zero beside a larger neighbour."
        )
    return notes
