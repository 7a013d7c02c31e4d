"""What the coord check finds of one tensor."""

from dataclasses import dataclass

from umup_diag.checks.coordcheck.series import MULTIPLIER_POWER
from umup_diag.checks.result import Finding
from umup_diag.report.style import signed
from umup_diag.scaling.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopeFinding(Finding):
    """A judged slope over width.

    Attributes:
        step: updates done before it was measured.
        role: of the layer.
        order: place of the layer in the forward pass.
        slope: of log2 RMS against log2 width, mean over seeds. For weights and updates, of the
            product with the layer's multiplier; for weight gradients, of the quotient.
        interval: its 95 % interval.
        expected: the predicted slope in the limit of width.
        band: allowed on either side of the prediction.
        accepted: what the whole interval must lie in: from the slowest predicted term minus the
            band to the dominant one plus the band.
        points: (width, RMS), the geometric mean over seeds.
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

    @property
    def slowest(self) -> float:
        """The slope of the slowest predicted term."""
        return self.accepted[0] + self.band

    @property
    def deviation(self) -> float:
        """How far the slope lies beyond the prediction, signed; 0 between its two ends."""
        return max(self.slope - self.expected, 0.0) + min(self.slope - self.slowest, 0.0)

    @property
    def times_multiplier(self) -> int:
        """Power of the layer's multiplier in what is judged."""
        return MULTIPLIER_POWER.get(Kind(self.kind), 0)

    @property
    def place(self) -> tuple[str, ...]:
        """The moment."""
        return (f"after {self.step} updates" if self.step else "at init",)

    @property
    def measured(self) -> str:
        """Slope, its interval, and what was accepted."""
        low, high = map(signed, self.interval)
        wanted = "…".join(map(signed, self.accepted))
        return f"width slope {signed(self.slope)} ({low}…{high}), wanted {wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonFiniteFinding(Finding):
    """A run whose loss is not finite.

    Attributes:
        width: of the run.
        seed: of the run.
        step: updates done.
        loss: its value.
    """

    width: int
    seed: int
    step: int
    loss: float
