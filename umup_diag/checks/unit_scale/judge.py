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
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from scipy import stats

from umup_diag.checks.coordcheck.slopes import CONFIDENCE
from umup_diag.checks.result import Finding, Result, Verdict, equivalence
from umup_diag.errors import InputError
from umup_diag.measure.init_pass import InitRow
from umup_diag.measure.recording import Recording
from umup_diag.scaling.kinds import Kind

TOLERANCE = math.sqrt(2)
SAME_FACTOR = 0.5  #: octaves; two factors this close are one fault, seen twice
STALE = "Stale exception"  #: how a note about one begins
_SEVERITY = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
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
class ScaleException:
    """A range that a user has accepted for a tensor, with the reason.

    Attributes:
        tensor: name or pattern, as in ``layers.*.attention.q``.
        kind: of tensor; None for every kind of that tensor.
        low: smallest RMS.
        high: largest.
        reason: why.
    """

    tensor: str
    kind: str | None = None
    low: float
    high: float
    reason: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise InputError(
                f"exception {self.name}: the range [{self.low:g}, {self.high:g}] is empty or "
                "negative; give the smallest RMS, then the largest."
            )

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.tensor}:{self.kind}" if self.kind else self.tensor

    def covers(self, finding: "ScaleFinding") -> bool:
        """Whether it is about this finding."""
        return self.kind in (None, finding.kind) and fnmatchcase(finding.tensor, self.tensor)

    def encode(self) -> dict[str, Any]:
        """As settings keep it."""
        return {name: getattr(self, name) for name in ("tensor", "kind", "low", "high", "reason")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFinding(Finding):
    """A judged RMS at one width.

    Attributes:
        width: of the model; None where only one was given, as in a test.
        order: place of the layer in the forward pass.
        rms: geometric mean over seeds and batches.
        interval: its 95 % interval, from the seeds.
        expected: what it should be.
        accepted: what the whole interval must lie in.
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


def judge(recording: Recording) -> Result:
    """Judge a recording of `umup_diag.measure.init_pass`, by the settings that it keeps."""
    settings = recording.settings
    rows = [row for row in recording.rows if isinstance(row, InitRow)]
    exceptions = [ScaleException(**fields) for fields in settings["exceptions"]]
    findings, notes = judge_rows(rows, tolerance=settings["tolerance"], exceptions=exceptions)
    return Result(
        command="unit-scale",
        settings=settings,
        environment={**recording.environment, "seed": settings["seed"]},
        findings=tuple(findings),
        notes=tuple(notes),
    )


def judge_rows(
    rows: Iterable[InitRow],
    *,
    tolerance: float = TOLERANCE,
    exceptions: Sequence[ScaleException] = (),
    alone: bool = False,
) -> tuple[Sequence[ScaleFinding], list[str]]:
    """Findings, worst first and then in the order of cause; and notes.

    Args:
        rows: of one or more widths, seeds and batches.
        tolerance: factor either way.
        exceptions: ranges that take the place of theory's.
        alone: the rows are of one model and one batch, whose RMS is judged as it is: an interval
            takes two seeds.

    Raises:
        InputError: unless the tolerance is a factor above 1.
    """
    if not 1 < tolerance < math.inf:
        raise InputError(f"a tolerance of {tolerance:g} accepts nothing; give a factor above 1.")
    groups: dict[tuple[int, str, Kind], list[InitRow]] = defaultdict(list)
    for row in rows:
        groups[row.width, row.tensor, row.kind].append(row)
    unjudged = set()
    standard = []
    for (_, tensor, kind), group in groups.items():
        if group[0].fan_in is None and kind is Kind.WEIGHT and not any(row.rms for row in group):
            unjudged.add(tensor)  # a bias that starts at zero has no scale yet
        else:
            standard.append(_finding(group, tolerance, alone))
    judged, stale = _except(standard, exceptions)
    notes = [f"Not judged: {', '.join(sorted(unjudged))}: zero at init."] if unjudged else []
    return _explain(judged), notes + stale


def _finding(group: Sequence[InitRow], tolerance: float, alone: bool) -> ScaleFinding:
    first = group[0]
    low = _geometric(row.expected_low for row in group) / tolerance
    high = _geometric(row.expected_high for row in group) * tolerance
    rms, interval = _interval(group, alone)
    return ScaleFinding(
        tensor=first.tensor,
        kind=first.kind,
        width=None if alone else first.width,
        order=first.order,
        rms=rms,
        interval=interval,
        expected=math.sqrt(low * high),
        accepted=(low, high),
        because=first.because,
        verdict=_verdict(group, interval, (low, high)),
    )


def _verdict(
    group: Sequence[InitRow], interval: tuple[float, float], accepted: tuple[float, float]
) -> Verdict:
    broken = any(row.nonfinite or not row.rms > 0 for row in group)
    return Verdict.FAIL if broken else equivalence(interval, accepted)


def _geometric(values: Iterable[float]) -> float:
    logs = [-math.inf if value == 0 else math.log2(value) for value in values]
    return float(2 ** np.mean(logs))


def _interval(group: Sequence[InitRow], alone: bool) -> tuple[float, tuple[float, float]]:
    """Geometric mean and Student's interval over seeds, batches of a seed averaged first."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for row in group:
        by_seed[row.seed].append(row.rms if not row.nonfinite else math.nan)
    means = [_geometric(values) for values in by_seed.values()]
    if not all(math.isfinite(mean) for mean in means):
        return math.nan, (math.nan, math.nan)
    if not all(means):
        return 0.0, (0.0, 0.0)
    logs = np.log2(means)
    mean = float(logs.mean())
    if alone:
        return 2**mean, (2**mean, 2**mean)
    if len(logs) < 2:
        return 2**mean, (0.0, math.inf)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1))
    half = quantile * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return 2**mean, (2 ** (mean - half), 2 ** (mean + half))


def _except(
    findings: Sequence[ScaleFinding], exceptions: Sequence[ScaleException]
) -> tuple[list[ScaleFinding], list[str]]:
    """Put the user's ranges in place of theory's; say which of them nothing needs any more."""
    judged, needed, met = [], set(), set()
    for finding in findings:
        exception = next((each for each in exceptions if each.covers(finding)), None)
        if exception is None:
            judged.append(finding)
            continue
        met.add(exception.name)
        if finding.verdict is Verdict.PASS:
            judged.append(finding)
            continue
        needed.add(exception.name)
        accepted = (exception.low, exception.high)
        low, high = finding.interval
        zero_is_fine = finding.rms == 0 and exception.low == 0
        verdict = Verdict.PASS if zero_is_fine else equivalence((low, high), accepted)
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
        stale.append(f"{STALE} {exception.name}: {why}. Remove it.")
    return judged, stale


def _explain(findings: Sequence[ScaleFinding]) -> Sequence[ScaleFinding]:
    ordered = sorted(
        findings,
        key=lambda finding: (_SEVERITY[finding.verdict], finding.width or 0, *causal(finding)),
    )
    return _follow(_with_cause(finding) for finding in ordered)


def _follow(findings: Iterable[ScaleFinding]) -> Sequence[ScaleFinding]:
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
            followed.append(replace(finding, cause=cause, fix=None))
        else:
            roots[finding.width, stream] = finding
            followed.append(finding)
    return followed


def _has_factor(finding: ScaleFinding) -> bool:
    return finding.rms > 0 and math.isfinite(finding.rms)


def causal(finding: ScaleFinding) -> tuple[bool, int, int]:
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
    if math.isnan(finding.rms):
        return replace(finding, cause="not finite", fix="look for an overflow at init")
    cause, what = _CAUSES[finding.kind]
    if finding.rms == 0:
        return replace(finding, cause="zero at init", fix="except it if that is meant")
    return replace(finding, cause=cause, fix=f"multiply its {what} by {finding.factor:.3g}")
