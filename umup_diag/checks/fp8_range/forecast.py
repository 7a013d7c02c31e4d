"""When a quantity that grows steadily will reach a limit, and how sure that is.

The trend is a straight line in log2 against the step. Single spikes are left out by a robust first
fit (Theil and Sen); the interval of the crossing is Fieller's, exact for independent Gaussian noise
about a line, and widened when residuals follow one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from umup_diag.checks.interval import CONFIDENCE, in_common, quantile
from umup_diag.checks.result import Verdict

FALSE_ALARMS = 0.05
"""How often a recording in which nothing grows may announce that some tensor crosses a limit."""

CURVED = 0.01  # significance at which a trend is not a straight line
SPIKE = 6.0  # robust standard deviations from the first fit that make a point a spike
_SPIKES_FROM = 8  # points; of fewer, none counts as a spike
_RECENT_FROM = 5  # points that the second half must have to be fitted by itself

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Where one quantity of a tensor is heading.

    Attributes:
        quantity: "absmax" against the largest value, or "rms" against the smallest normal one.
        growth: octaves per 1000 steps.
        growth_interval: 95 % interval of the growth.
        crossing: step at which the trend reaches the limit; None if it does not head there.
        crossing_interval: 95 % interval of the crossing; its end may be infinite.
        horizon: last step that is judged.
        verdict: FAIL if the limit is reached by the horizon, PASS if it is not, INCONCLUSIVE if the
            points do not tell.
        reason: why the points do not tell; None if they do.
    """

    quantity: str
    growth: float
    growth_interval: tuple[float, float]
    crossing: float | None
    crossing_interval: tuple[float, float] | None
    horizon: float
    verdict: Verdict
    reason: str | None = None

    @property
    def words(self) -> str:
        """The rate, and the crossing with its interval where there is one."""
        rate = f"its {self.quantity} moves {self.growth:+.2g} octaves per 1000 steps"
        if self.crossing is None or self.crossing_interval is None:
            return rate
        limit = {"absmax": "the largest value", "rms": "the smallest normal"}[self.quantity]
        earliest, latest = self.crossing_interval
        until = f"{latest:.0f}" if isfinite(latest) else "open"
        return f"{rate} and reaches {limit} at step {self.crossing:.0f} ({earliest:.0f} … {until})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A straight line through points, and its uncertainty.

    Attributes:
        at: mean step.
        level: of the line there.
        slope: per step.
        variance: of the noise about the line, widened for what it has in common from point to
            point.
        dof: degrees of freedom.
        spread: Σ(step − mean)².
        points: how many were fitted.
        is_curved: whether the points follow no straight line.
    """

    at: float
    level: float
    slope: float
    variance: float
    dof: float
    spread: float
    points: int
    is_curved: bool

    def slope_interval(self, significance: float = 1 - CONFIDENCE) -> tuple[float, float]:
        """Of the slope."""
        half = quantile(self.dof, significance) * sqrt(self.variance / self.spread)
        return self.slope - half, self.slope + half

    def crossing_interval(self, limit: float) -> tuple[float, float]:
        """Fieller's interval for the step at which the line is at `limit`, if it is ahead.

        Steps x at which |level + slope·(x − at) − limit| is no more than the quantile times its
        standard error.
        """
        squared = quantile(self.dof) ** 2 * self.variance
        a = self.slope**2 - squared / self.spread
        b = self.slope * (self.level - limit)
        c = (self.level - limit) ** 2 - squared / self.points
        root = b * b - a * c
        if a <= 0:
            return (-inf, inf) if root < 0 or a == 0 else ((-b - sqrt(root)) / a + self.at, inf)
        half = sqrt(max(root, 0.0))
        return (-b - half) / a + self.at, (-b + half) / a + self.at


def forecast(
    quantity: str,
    steps: Sequence[int],
    values: Sequence[float],
    limit: float,
    *,
    upwards: bool,
    horizon: float,
    series: int = 1,
) -> Forecast | None:
    """Whether a quantity will reach a limit.

    A crossing is announced only if the slope is significant at `FALSE_ALARMS` shared out over all
    the series of a recording.

    Args:
        quantity: name of the quantity.
        steps: of the points, ascending.
        values: log2 of the quantity.
        limit: log2 of the limit.
        upwards: whether the limit lies above the values.
        horizon: last step to judge.
        series: how many forecasts are made together.

    Returns:
        None for fewer than three points, for values without a logarithm, or beyond the limit
        already.
    """
    if len(steps) < 3 or not all(map(isfinite, values)):
        return None
    sign = 1.0 if upwards else -1.0
    if max(sign * value for value in values) >= sign * limit:
        return None
    line = trend(*recent(steps, values))
    low, high = line.slope_interval()
    steady = Forecast(
        quantity=quantity,
        growth=1000 * line.slope,
        growth_interval=(1000 * low, 1000 * high),
        crossing=None,
        crossing_interval=None,
        horizon=horizon,
        verdict=Verdict.PASS,
    )
    if line.is_curved:
        return replace(steady, verdict=Verdict.INCONCLUSIVE, reason="its growth is not steady")
    surest = line.slope_interval(FALSE_ALARMS / series)
    fastest = sign * (high if upwards else low)
    away = sign * (limit - line.level)
    if not (surest[0] > 0 if upwards else surest[1] < 0):
        if fastest <= 0 or line.at + away / fastest > horizon:
            return steady
        return replace(
            steady,
            verdict=Verdict.INCONCLUSIVE,
            reason="its points do not tell growth from noise",
        )
    crossing = line.at + away / (sign * line.slope)
    earliest, latest = line.crossing_interval(limit)
    heading = replace(
        steady,
        crossing=crossing,
        crossing_interval=(max(earliest, float(steps[-1])), latest),
        verdict=Verdict.FAIL if crossing <= horizon else Verdict.PASS,
    )
    if earliest <= horizon < crossing:
        return replace(
            heading,
            verdict=Verdict.INCONCLUSIVE,
            reason="the interval reaches across the horizon",
        )
    return heading


def recent(steps: Sequence[int], values: Sequence[float]) -> tuple[Floats, Floats]:
    """The second half of the steps, if it has enough points: the start of training is its own."""
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    late = x >= (x[0] + x[-1]) / 2
    return (x[late], y[late]) if late.sum() >= _RECENT_FROM else (x, y)


def trend(x: Floats, y: Floats) -> Trend:
    """Fit a line to three points or more."""
    kept = _without_spikes(x, y)
    x, y = x[kept], y[kept]
    at = float(x.mean())
    x = x - at
    spread, points = float(x @ x), len(x)
    level, slope = float(y.mean()), float(x @ y) / spread
    residuals = y - level - slope * x
    dof = float(points - 2)
    variance = float(residuals @ residuals) / dof
    shared = in_common(residuals)
    dof = max(1.0, points / shared - 2)
    return Trend(
        at=at,
        level=level,
        slope=slope,
        variance=variance * shared,
        dof=dof,
        spread=spread,
        points=points,
        is_curved=_is_curved(x, y, shared),
    )


def _without_spikes(x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    """Which points lie near a robust first fit."""
    if len(x) < _SPIKES_FROM:
        return np.ones(len(x), dtype=np.bool_)
    slope, *_ = stats.theilslopes(y, x)
    away = y - slope * x
    away = np.abs(away - np.median(away))
    kept = away <= SPIKE * 1.4826 * np.median(away)
    return kept if kept.sum() >= 0.8 * len(x) else np.ones(len(x), dtype=np.bool_)


def _is_curved(x: Floats, y: Floats, shared: float) -> bool:
    if len(x) < 5:
        return False
    scaled = x / np.abs(x).max()
    columns = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1)
    solution, *_ = np.linalg.lstsq(columns, y, rcond=None)
    residuals = y - columns @ solution
    dof = max(1.0, len(x) / shared - 3)
    variance = float(residuals @ residuals) / (len(x) - 3) * shared
    error = sqrt(variance * float(np.linalg.inv(columns.T @ columns)[2, 2]))
    curvature = abs(float(solution[2]))
    noise = 1e-9 * max(1.0, float(np.abs(y).max()))  # what log2 leaves of an exact line
    return curvature > max(noise, quantile(dof, CURVED) * error)
