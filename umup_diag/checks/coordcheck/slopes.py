"""Slopes of log2 RMS against log2 width, with intervals that come from the seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
from scipy.special import stdtrit  # scipy.stats, which has the same, takes a second to import

CONFIDENCE = 0.95

#: seed → width → log2 of what is fitted
Series = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """A slope and its 95 % interval.

    Attributes:
        mean: over seeds, of the least-squares slope of each.
        low: lower end of Student's interval for that mean.
        high: upper end.
        std: standard deviation between seeds.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    std: float
    seeds: int

    @property
    def half_width(self) -> float:
        """Of the interval."""
        return (self.high - self.low) / 2

    def seeds_for(self, half_width: float) -> int | None:
        """How many seeds like these would give an interval as narrow as that; None beyond 1000."""
        for seeds in range(max(self.seeds, 2), 1001):
            if _half_width(self.std, seeds) <= half_width:
                return seeds
        return None


def _half_width(std: float, seeds: int) -> float:
    quantile = float(stdtrit(seeds - 1, (1 + CONFIDENCE) / 2))
    return quantile * std / math.sqrt(seeds)


def fit(series: Series) -> Slope:
    """Fit each seed by least squares over its widths, then average over seeds.

    One seed gives no interval: its ends are infinite.
    """
    slopes = [_least_squares(list(points), list(points.values())) for points in series.values()]
    mean = float(np.mean(slopes))
    if len(slopes) < 2:
        return Slope(mean=mean, low=-inf, high=inf, std=nan, seeds=len(slopes))
    std = float(np.std(slopes, ddof=1))
    half = _half_width(std, len(slopes))
    return Slope(mean=mean, low=mean - half, high=mean + half, std=std, seeds=len(slopes))


def _least_squares(widths: Sequence[int], values: Sequence[float]) -> float:
    x = np.log2(np.asarray(widths, dtype=np.float64))
    x -= x.mean()
    return float(x @ np.asarray(values, dtype=np.float64) / (x @ x))
