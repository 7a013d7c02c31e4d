"""What is found out about one tensor of two runs."""

from dataclasses import dataclass

from umup_diag.checks.result import Finding, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFinding(Finding):
    """One tensor and kind, in B against A.

    Attributes:
        order: place in the forward pass.
        pairs: frames of the same point and step that both runs have.
        seeds: runs that the interval comes from; 1 if it comes from the steps.
        before: log2 of A, mean over the pairs; of RMS, or of the size of the number measured.
        change: log2 of B over A, mean over the pairs: octaves.
        interval: 95 % of the change; infinite where there is one pair.
        last: change of the last pair.
        band: either side of zero that counts as the same.
        points: (step, change) of every pair, in order.
    """

    order: int
    pairs: int
    seeds: int
    before: float
    change: float
    interval: tuple[float, float]
    last: float
    band: float
    points: tuple[tuple[int | None, float], ...]

    @property
    def measured(self) -> str:
        """The change and its interval, in words."""
        low, high = self.interval
        return f"{self.change:+.2f} octaves ({low:+.2f} … {high:+.2f}), ±{self.band:g} is the same"


def change_findings(result: Result) -> list[ChangeFinding]:
    """The findings of a result of this check."""
    return [finding for finding in result.findings if isinstance(finding, ChangeFinding)]
