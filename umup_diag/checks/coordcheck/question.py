"""One slope and what it should be."""

from dataclasses import dataclass, replace

from umup_diag.checks.coordcheck.decision import SMALLEST_FAULT, Accepted, Decision, Doubt, decide
from umup_diag.checks.coordcheck.trend import Trend
from umup_diag.checks.verdict import Verdict
from umup_diag.scaling.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One slope and what it should be.

    Attributes:
        tensor: whose.
        kind: of measurement.
        step: updates done when it was measured.
        order: place in the forward pass.
        found: the slope.
        accepted: what is right.
        is_decisive: whether the verdict rests on it; else it only explains.
        fault: by how much a fault shifts it, at least.
        siblings: the trend of the same tensor of all layers together; None if it has none.
        rate_is_right: whether the tensor's own rate is, so that only what all siblings share can
            be wrong, and their trend may decide for one that is too noisy.
        may_stay_open: whether it need not be decided where noise hides even a fault: a tensor that
            does not grow has too few elements to average over, and its own rate is right.
    """

    tensor: str
    kind: Kind
    step: int
    order: int
    found: Trend
    accepted: Accepted
    is_decisive: bool = True
    fault: float = SMALLEST_FAULT
    siblings: Trend | None = None
    rate_is_right: bool = False
    may_stay_open: bool = False

    @property
    def key(self) -> tuple[str, Kind]:
        """What tells it from all others."""
        return self.tensor, self.kind

    def decide(self, doubt: Doubt) -> Decision:
        """Judge it by itself; where that does not decide it, with its siblings."""
        own = decide(self.found, self.accepted, doubt=doubt, fault=self.fault)
        half_width = self.found.half_width(doubt.one)
        if self.may_stay_open and not own.is_wrong and half_width > self.fault:
            own = replace(own, leans=False)
        if own.verdict is not Verdict.INCONCLUSIVE or self.siblings is None:
            return own
        together = decide(self.siblings, self.accepted, doubt=doubt, fault=self.fault)
        if own.leans and together.is_wrong and together.deviation * own.deviation > 0:
            return replace(own, verdict=Verdict.FAIL)
        if self.rate_is_right and together.verdict is Verdict.PASS:
            return replace(own, verdict=Verdict.PASS, leans=False)
        return own
