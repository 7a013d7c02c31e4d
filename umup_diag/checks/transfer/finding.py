"""What a transfer check finds of one hyperparameter."""

from dataclasses import dataclass
from math import log2

from umup_diag.checks.result import Finding, Result
from umup_diag.checks.transfer.drift import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The loss at one value.

    Attributes:
        value: of the hyperparameter.
        loss: the mean over seeds; infinite where a run was given up.
        error: its standard error between seeds; of a single seed, from the run's own noise.
        is_fitted: whether the quadratic was fitted to it.
    """

    value: float
    loss: float
    error: float
    is_fitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptimum:
    """What one size shows.

    Attributes:
        size: on the axis.
        log2: of the best value; None where there is none.
        interval: its 95 % interval.
        curvature: of the loss there, in nats an octave².
        loss: there, by the quadratic.
        reason: why there is no optimum.
        points: the measured losses, by value; those of all seeds.
    """

    size: float
    log2: float | None = None
    interval: Interval | None = None
    curvature: float | None = None
    loss: float | None = None
    reason: str | None = None
    points: tuple[Measured, ...] = ()

    def at(self, value: float) -> float:
        """The fitted loss at a value; only where there is an optimum."""
        assert self.log2 is not None
        assert self.curvature is not None
        assert self.loss is not None
        return self.loss + self.curvature * (log2(value) - self.log2) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFinding(Finding):
    """The drift of the optimum of a hyperparameter (``tensor``).

    Attributes:
        axis: that grows.
        drift: octaves a doubling of the axis; None where a size has no optimum.
        interval: its 95 % interval.
        band: drifts that pass.
        unfelt: the drift either way that the loss at the largest size cannot feel.
        cost_nats: what the largest size gives up by using the smallest size's optimum.
        cost_fraction: the same as a share of its loss.
        target: size that the optimum is extrapolated to.
        extrapolated: the optimum there, as a value.
        extrapolated_interval: its 95 % interval.
        sizes: what each size shows.
    """

    axis: str
    drift: float | None = None
    interval: Interval | None = None
    band: Interval | None = None
    unfelt: float | None = None
    cost_nats: float | None = None
    cost_fraction: float | None = None
    target: float | None = None
    extrapolated: float | None = None
    extrapolated_interval: Interval | None = None
    sizes: tuple[SizeOptimum, ...] = ()

    @property
    def place(self) -> tuple[str, ...]:
        """Over which axis."""
        return (f"over {self.axis}",)

    @property
    def measured(self) -> str:
        """The drift and what would do."""
        if self.drift is None or self.interval is None or self.band is None:
            return ""
        low, high = self.interval
        return (
            f"{self.drift:+.2f} octaves a doubling ({low:+.2f} … {high:+.2f}), "
            f"passing up to ±{self.band[1]:.2f}"
        )


def transfer_findings(result: Result) -> list[TransferFinding]:
    """The findings of a result of this check."""
    return [finding for finding in result.findings if isinstance(finding, TransferFinding)]
