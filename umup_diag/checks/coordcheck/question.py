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
        rate_is_right: whether the tensor's own rate is: then its loss change can be wrong by its
            gradient alone, which a fault elsewhere bends, and much else with it.
        speaks_for_few: whether it has too few elements to average over, as a tensor that does not
            grow, or tokens: where its rate is right it need not be decided at all.
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
    speaks_for_few: bool = False

    @property
    def key(self) -> tuple[str, Kind]:
        """What tells it from all others."""
        return self.tensor, self.kind

    def decide(self, doubt: Doubt) -> Decision:
        """Judge it by itself; where that does not decide it, with its siblings."""
        own = decide(self.found, self.accepted, doubt=doubt, fault=self.fault)
        if self.siblings is not None and own.verdict is Verdict.INCONCLUSIVE:
            together = decide(self.siblings, self.accepted, doubt=doubt, fault=self.fault)
            if own.leans and together.is_wrong and together.deviation * own.deviation > 0:
                return replace(own, verdict=Verdict.FAIL)
            if self.rate_is_right and together.verdict is Verdict.PASS:
                return replace(own, verdict=Verdict.PASS, leans=False)
        if self.rate_is_right and own.verdict is Verdict.INCONCLUSIVE:
            # No fault is here. One elsewhere shows where it is, and in more tensors than this.
            return replace(own, leans=False)
        return own

    @property
    def may_stay_open(self) -> bool:
        """Whether the model may pass whatever its like is undecided."""
        return self.speaks_for_few and self.rate_is_right
