"""The unit-scale check: each tensor's RMS at init against 1, or against what theory has instead.

The tolerance is a factor, √2 either way by default. A number format's range is counted in octaves,
and √2 is half of one: rounding any accepted RMS to the nearest power of two gives the expected one,
so every accepted tensor sits in the same place of an FP8 format. It is also what a correct u-µP
model stays within (the gradient at the embedding of a 16-layer model is at 1.2), while the mistakes
that are made, a forgotten multiplier, a square root too many, a factor of 2, are further out.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from umup_diag.checks.fix import Advice, Fix, Multiply
from umup_diag.checks.interval import Mean
from umup_diag.checks.result import Finding, Note, NoteKind, Result
from umup_diag.checks.unit_scale import UNIT_SCALE
from umup_diag.checks.unit_scale.exceptions import ScaleException
from umup_diag.checks.unit_scale.expected import Expectations
from umup_diag.checks.unit_scale.settings import UnitScaleSettings
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.recording import Recording, TensorRecord
from umup_diag.report.style import number
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.unit_expectations import Expectation

SAME_FACTOR = 0.5  #: octaves; two factors this close are one fault, seen twice
_BACKWARD = (Kind.GRAD_OUTPUT, Kind.WEIGHT_GRAD)
_ORDER = (Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT)  # within a layer
#: kind → what is wrong when only it is, and what to multiply.
_CAUSES: Mapping[str, tuple[str, str]] = {
    Kind.WEIGHT: ("init", "initial standard deviation"),
    Kind.INPUT: ("scale of the op before it", "input"),
    Kind.OUTPUT: ("forward multiplier", "forward multiplier"),
    Kind.GRAD_OUTPUT: (
        "backward multiplier between it and the loss",
        "gradient on its way from the loss",
    ),
    Kind.ATTENTION_LOGITS: ("softmax scale", "softmax scale"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFinding(Finding):
    """A judged RMS at one width.

    Attributes:
        width: of the model; None where there is one model without a width, as in a test.
        order: place of the layer in the forward pass.
        rms: geometric mean over seeds and batches.
        interval: its 95 % interval, from the seeds; the RMS itself where there is one model alone.
        expected: the RMS that theory has.
        accepted: range that the whole interval must lie in.
        because: why `expected` is not 1; None where it is.
        exception: the reason of the user's exception that `accepted` comes from; None without.
    """

    width: int | None
    order: int
    rms: float
    interval: tuple[float, float]
    expected: float
    accepted: tuple[float, float]
    because: str | None = None
    exception: str | None = None

    @property
    def factor(self) -> float:
        """What the RMS must be multiplied by to be the expected one."""
        return self.expected / self.rms if self.rms > 0 else math.inf

    @property
    def place(self) -> tuple[str, ...]:
        """The width."""
        return () if self.width is None else (f"at width {self.width}",)

    @property
    def measured(self) -> str:
        """RMS, its interval, and what was accepted and why."""
        low, high = self.interval
        text = f"RMS {number(self.rms)}"
        if low != high:
            text += f" ({number(low)}…{number(high)})"
        text += f", wanted {number(self.accepted[0])}…{number(self.accepted[1])}"
        if self.exception:
            return f"{text} by exception ({self.exception})"
        return f"{text} around {number(self.expected)} ({self.because})" if self.because else text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A tensor in one frame.

    Attributes:
        seed: index of the model at its width; None where it is the only one.
        record: of the tensor.
        expected: its RMS in theory.
    """

    seed: float | None
    record: TensorRecord
    expected: Expectation

    @property
    def is_broken(self) -> bool:
        """Whether it has no scale at all."""
        return bool(self.record.statistics.nonfinite_count) or not self.record.rms > 0


def judge(recording: Recording, settings: UnitScaleSettings) -> Result:
    """Findings, worst first and then in the order of cause.

    An interval takes two seeds; frames without a seed, of one model and one batch, are judged by
    their RMS as it is.
    """
    groups: dict[tuple[float | None, str, str], list[_Measured]] = defaultdict(list)
    for frame in recording.frames:
        expectations, point = Expectations.of(frame), frame.point
        for record in frame.records:
            groups[point.get("width"), record.tensor, record.kind].append(
                _Measured(seed=point.get("seed"), record=record, expected=expectations.at(record))
            )
    unjudged = set()
    standard = []
    for (width, tensor, kind), group in groups.items():
        fans = group[0].record.fans
        is_vector = fans is None or fans.is_vector
        if is_vector and kind == Kind.WEIGHT and not any(each.record.rms for each in group):
            unjudged.add(tensor)  # a bias that starts at zero has no scale yet
        else:
            standard.append(_finding(group, width, settings.tolerance))
    judged, stale = _except(standard, settings.exceptions)
    notes = []
    if unjudged:
        text = f"Not judged: {', '.join(sorted(unjudged))}: zero at init."
        notes.append(Note(kind=NoteKind.NOT_JUDGED, text=text))
    return Result(
        command=UNIT_SCALE.name,
        settings=settings.encode(),
        environment={**recording.environment, "seed": settings.seed},
        findings=tuple(_explain(judged)),
        notes=(*notes, *stale),
    )


def _finding(group: Sequence[_Measured], width: float | None, tolerance: float) -> ScaleFinding:
    first = group[0].record
    low = _geometric(each.expected.low for each in group) / tolerance
    high = _geometric(each.expected.high for each in group) * tolerance
    rms, interval = _interval(group)
    is_broken = any(each.is_broken for each in group)
    return ScaleFinding(
        tensor=first.tensor,
        kind=first.kind,
        width=None if width is None else int(width),
        order=first.order,
        rms=rms,
        interval=interval,
        expected=math.sqrt(low * high),
        accepted=(low, high),
        because=group[0].expected.because,
        verdict=Verdict.FAIL if is_broken else equivalence(interval, (low, high)),
    )


def _geometric(values: Iterable[float]) -> float:
    logs = [-math.inf if value == 0 else math.log2(value) for value in values]
    return float(2 ** np.mean(logs))


def _interval(group: Sequence[_Measured]) -> tuple[float, tuple[float, float]]:
    """Geometric mean and Student's interval over seeds, batches of a seed averaged first."""
    by_seed: dict[float | None, list[float]] = defaultdict(list)
    for each in group:
        is_finite = not each.record.statistics.nonfinite_count
        by_seed[each.seed].append(each.record.rms if is_finite else math.nan)
    means = [_geometric(values) for values in by_seed.values()]
    if not all(math.isfinite(mean) for mean in means):
        return math.nan, (math.nan, math.nan)
    if not all(means):
        return 0.0, (0.0, 0.0)
    logs = Mean.of([math.log2(mean) for mean in means])
    rms = 2**logs.mean
    return rms, (rms, rms) if None in by_seed else (2**logs.low, _power_of_two(logs.high))


def _power_of_two(exponent: float) -> float:
    return 2**exponent if exponent < 1024 else math.inf  # Python's own overflow is an error


def _except(
    findings: Sequence[ScaleFinding], exceptions: Sequence[ScaleException]
) -> tuple[list[ScaleFinding], list[Note]]:
    """Put the user's ranges in place of theory's; say which of them nothing needs any more."""
    judged, needed, met = [], set(), set()
    for finding in findings:
        exception = next(
            (each for each in exceptions if each.covers(finding.tensor, finding.kind)), None
        )
        if exception is None:
            judged.append(finding)
            continue
        met.add(exception.name)
        if finding.verdict is Verdict.PASS:
            judged.append(finding)
            continue
        needed.add(exception.name)
        accepted = (exception.low, exception.high)
        zero_is_fine = finding.rms == 0 and exception.low == 0
        verdict = Verdict.PASS if zero_is_fine else equivalence(finding.interval, accepted)
        if math.isnan(finding.rms):
            verdict = Verdict.FAIL
        judged.append(
            replace(finding, accepted=accepted, exception=exception.reason, verdict=verdict)
        )
    stale = []
    for exception in exceptions:
        if exception.name not in met:
            why = "no tensor has that name"
        elif exception.name not in needed:
            why = "every tensor that it covers passes without it"
        else:
            continue
        text = f"Stale exception {exception.name}: {why}. Remove it."
        stale.append(Note(kind=NoteKind.STALE_EXCEPTION, text=text))
    return judged, stale


def _explain(findings: Sequence[ScaleFinding]) -> list[ScaleFinding]:
    ordered = sorted(
        findings,
        key=lambda finding: (finding.verdict.severity, finding.width or 0, *_causal(finding)),
    )
    return _follow(_with_cause(finding) for finding in ordered)


def _follow(findings: Iterable[ScaleFinding]) -> list[ScaleFinding]:
    """Say of a failing finding that it follows from an earlier one, where the factor is the same.

    A gradient passes its factor on to every gradient after it, an input to its layer's output. A
    finding that is off by another factor has a cause of its own.
    """
    followed: list[ScaleFinding] = []
    roots: dict[tuple[int | None, str], ScaleFinding] = {}
    for finding in findings:
        stream = "gradients" if finding.kind in _BACKWARD else finding.tensor
        root = roots.get((finding.width, stream))
        passes_on = finding.kind in (Kind.INPUT, Kind.OUTPUT, Kind.GRAD_OUTPUT)
        if finding.verdict is not Verdict.FAIL or not passes_on or not _has_factor(finding):
            followed.append(finding)
        elif root and abs(math.log2(finding.factor / root.factor)) <= SAME_FACTOR:
            cause = f"follows from {root.kind} of {root.tensor}"
            followed.append(replace(finding, cause=cause, follows=root.tensor, fix=None))
        else:
            roots[finding.width, stream] = finding
            followed.append(finding)
    return followed


def _has_factor(finding: ScaleFinding) -> bool:
    return finding.rms > 0 and math.isfinite(finding.rms)


def _causal(finding: ScaleFinding) -> tuple[bool, int, int]:
    """What comes first: the forward pass in its order, then the backward pass in its own."""
    backward = finding.kind in _BACKWARD
    place = _ORDER.index(Kind(finding.kind)) if finding.kind in _ORDER else len(_ORDER)
    return backward, -finding.order if backward else finding.order, place


def _with_cause(finding: ScaleFinding) -> ScaleFinding:
    if finding.verdict is Verdict.PASS:
        return finding
    if finding.verdict is Verdict.INCONCLUSIVE:
        low, high = finding.interval
        if not math.isfinite(high):
            return replace(finding, cause="one seed gives no interval; use --seeds 5")
        return replace(
            finding,
            cause=f"the interval {low:.3g}…{high:.3g} crosses the edge of what is accepted; "
            "more --seeds would narrow it",
        )
    cause, what = _CAUSES[finding.kind]
    step: Multiply | Advice = Multiply(what=what, factor=finding.factor)
    if math.isnan(finding.rms):
        cause, step = "not finite", Advice(text="look for an overflow at init")
    elif finding.rms == 0:
        cause, step = "zero at init", Advice(text="except it if that is meant")
    return replace(finding, cause=cause, fix=Fix(tensor=finding.tensor, steps=(step,)))
