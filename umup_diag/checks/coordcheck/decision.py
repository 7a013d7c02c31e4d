"""Right, wrong or not decided: a slope against the values that count as right.

A rule of scaling is a power of √width, so what is wrong is wrong by half a power or more. A slope
is *right* when it is nearer to what is expected than to a fault and its interval excludes every
fault; *wrong* when it is nearer to a fault and even an interval that is wide enough for all tensors
of the model at once excludes what is expected. Between them it is not decided.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from umup_diag.checks.coordcheck.trend import DOUBT, Trend
from umup_diag.checks.verdict import Verdict
from umup_diag.report.names import starred
from umup_diag.scaling.kinds import Kind

SMALLEST_FAULT = 0.5  #: power of width by which a wrong rule is wrong, at least
EDGE = SMALLEST_FAULT / 2  #: beyond it a slope is nearer to a fault than to what is right
DRIFT = 0.1  #: what a correct model may show at finite width, and no noise explains
FALSE_ALARM = 0.01  #: probability that any finding of a correct model fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The slopes that are right: a range, whose ends may be infinite."""

    low: float
    high: float

    def deviation(self, slope: float) -> float:
        """How far a slope lies outside, signed."""
        return max(slope - self.high, 0.0) + min(slope - self.low, 0.0)

    def shifted(self, power: float) -> "Accepted":
        """The same by so much further up."""
        return Accepted(low=self.low + power, high=self.high + power)


class _Question(Protocol):
    """A slope and what is right."""

    @property
    def found(self) -> Trend:
        """The slope."""

    @property
    def accepted(self) -> Accepted:
        """What is right."""


FLAT = Accepted(low=0.0, high=0.0)
AT_MOST_FLAT = Accepted(low=-inf, high=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How often an interval may miss.

    Whoever looks several times and stops when it is settled has so many chances of being wrong, so
    each look gets its share (Bonferroni); and of what would fail a correct model, each finding its
    share of that.

    Attributes:
        findings: judged together.
        looks: at which the runs may end.
    """

    findings: int
    looks: int = 1

    @property
    def one(self) -> float:
        """For one finding by itself."""
        return DOUBT / self.looks

    @property
    def any(self) -> float:
        """For one of all, of which none may be wrong."""
        return FALSE_ALARM / self.looks / max(self.findings, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a trend says of a range.

    Attributes:
        verdict: the outcome.
        deviation: how far the slope lies outside of the range.
        leans: whether the slope is nearer to a fault than to what is expected.
        seeds: that would decide it, if the slope stays; None if none would, or if it is decided.
    """

    verdict: Verdict
    deviation: float
    leans: bool = False
    seeds: int | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether it fails."""
        return self.verdict is Verdict.FAIL

    @property
    def is_unsettled(self) -> bool:
        """Whether it is not decided, and nearer to what is expected than to a fault."""
        return self.verdict is Verdict.INCONCLUSIVE and not self.leans


def decide(
    found: Trend, accepted: Accepted, *, doubt: Doubt, fault: float = SMALLEST_FAULT
) -> Decision:
    """Judge one slope; a `fault` shifts it by so much or more."""
    deviation = accepted.deviation(found.slope)
    if abs(deviation) < fault / 2:
        low, high = found.interval(doubt.one)
        if low > accepted.low - fault and high < accepted.high + fault:
            return Decision(verdict=Verdict.PASS, deviation=deviation)
        room = min(found.slope - accepted.low, accepted.high - found.slope) + fault
        seeds = found.seeds_for(room, doubt.one)
        return Decision(verdict=Verdict.INCONCLUSIVE, deviation=deviation, seeds=seeds)
    if _is_beyond(found, accepted, doubt.any):
        return Decision(verdict=Verdict.FAIL, deviation=deviation, leans=True)
    seeds = found.seeds_for(abs(deviation) - DRIFT, doubt.any)
    return Decision(verdict=Verdict.INCONCLUSIVE, deviation=deviation, leans=True, seeds=seeds)


def with_siblings(
    questions: Mapping[tuple[str, Kind], _Question],
    decisions: Mapping[tuple[str, Kind], Decision],
    doubt: Doubt,
) -> dict[tuple[str, Kind], Decision]:
    """Let a slope that leans the way in which a sibling is wrong be wrong too.

    The same tensor of another layer is built by the same line of code. Once one is wrong beyond all
    doubt, its siblings need an interval for one finding, not for all.
    """
    wrong: dict[tuple[str, Kind], list[float]] = defaultdict(list)
    for (tensor, kind), decision in decisions.items():
        if decision.is_wrong:
            wrong[starred(tensor), kind].append(decision.deviation)
    found = dict(decisions)
    for (tensor, kind), decision in decisions.items():
        alike = any(
            abs(decision.deviation - other) <= EDGE for other in wrong[starred(tensor), kind]
        )
        question = questions[tensor, kind]
        if decision.leans and alike and _is_beyond(question.found, question.accepted, doubt.one):
            found[tensor, kind] = replace(decision, verdict=Verdict.FAIL)
    return found


def _is_beyond(found: Trend, accepted: Accepted, doubt: float) -> bool:
    low, high = found.interval(doubt)
    return low > accepted.high + DRIFT or high < accepted.low - DRIFT
