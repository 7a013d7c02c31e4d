"""What the coord check finds of one tensor."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isinf

from umup_diag.checks.result import Finding
from umup_diag.checks.verdict import Verdict
from umup_diag.report.style import signed
from umup_diag.settings.axes import WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopeFinding(Finding):
    """A judged slope over one axis.

    Attributes:
        step: updates done before it was measured.
        role: of the tensor; ``softmax`` for attention logits, ``other`` for what does not grow.
        order: place in the forward pass.
        slope: of log2 of what was measured against log2 size, one for all seeds.
        interval: its 95 % interval.
        expected: the slope that is right; the upper end, where it is a range.
        band: a slope that is this far from what is right is as near to a fault.
        accepted: what is right, widened by the band; an end may be infinite.
        points: (size, value), the geometric mean over seeds.
        axis: that the sizes are of.
    """

    step: int
    role: str
    order: int
    slope: float
    interval: tuple[float, float]
    expected: float
    band: float
    accepted: tuple[float, float]
    points: tuple[tuple[int, float], ...]
    axis: str = WIDTH

    @property
    def place(self) -> tuple[str, ...]:
        """The moment, and the axis where it is not width."""
        return (self.when,) if self.axis == WIDTH else (self.when, f"over {self.axis}")

    @property
    def when(self) -> str:
        """The moment in words."""
        return f"at update {self.step}" if self.step else "at init"

    @property
    def wanted(self) -> str:
        """The slope that is right, or the range of them."""
        low, high = self.accepted[0] + self.band, self.accepted[1] - self.band
        if isinf(low):
            return f"≤ {signed(high)}"
        return signed(high) if high - low < 1e-9 else f"{signed(low)}…{signed(high)}"

    @property
    def measured(self) -> str:
        """Slope, its interval, and what was expected."""
        low, high = map(signed, self.interval)
        what = "width slope" if self.axis == WIDTH else "slope"  # the place names other axes
        return f"{what} {signed(self.slope)} ({low}…{high}), expected {self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonFiniteFinding(Finding):
    """A run whose loss is not finite.

    Attributes:
        width: of the run.
        sizes: of the run along the other axes.
        seed: of the run.
        step: updates done.
        loss: its value.
    """

    width: int
    seed: int
    step: int
    loss: float
    sizes: Mapping[str, int] = field(default_factory=dict)


def first_offender(findings: Iterable[SlopeFinding]) -> SlopeFinding | None:
    """The failing finding that comes first in the forward pass, with a fix if any has one."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    return min(
        failing,
        key=lambda finding: (finding.fix is None, finding.order, finding.step),
        default=None,
    )
