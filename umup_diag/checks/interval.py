"""Student's interval: the one place where a spread becomes an interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, nan, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit  # scipy.stats, which has the same, takes a second to import

CONFIDENCE = 0.95


def quantile(freedom: float, doubt: float = 1 - CONFIDENCE) -> float:
    """Standard errors on either side of an estimate that hold the truth but for `doubt`.

    Args:
        freedom: degrees of freedom behind the standard error.
        doubt: probability of the truth lying outside, both sides together.
    """
    return float(stdtrit(freedom, 1 - doubt / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean over seeds and its 95 % interval.

    Attributes:
        mean: over seeds.
        low: lower end of Student's interval.
        high: upper end.
        std: standard deviation between seeds.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    std: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Of one value a seed; a single one gives no interval: its ends are infinite."""
        mean = float(np.mean(values))
        if len(values) < 2:
            return cls(mean=mean, low=-inf, high=inf, std=nan, seeds=len(values))
        std = float(np.std(values, ddof=1))
        half = quantile(len(values) - 1) * std / sqrt(len(values))
        return cls(mean=mean, low=mean - half, high=mean + half, std=std, seeds=len(values))

    @classmethod
    def of_series(cls, values: Sequence[float]) -> "Mean":
        """Of values that follow one another; what neighbours have in common widens the interval."""
        plain = cls.of(values)
        if len(values) < 2:
            return plain
        residuals = np.asarray(values, dtype=np.float64) - plain.mean
        shared = in_common(residuals)
        freedom = max(1.0, len(values) / shared - 1)
        half = quantile(freedom) * plain.std * sqrt(shared / len(values))
        return replace(plain, low=plain.mean - half, high=plain.mean + half)


def in_common(residuals: npt.NDArray[np.float64]) -> float:
    """By how much the variance of a mean exceeds that of independent noise, from neighbours.

    (1 + r) / (1 − r) for a correlation r of neighbours that differs from zero; 1 for fewer than 10.
    """
    points, power = len(residuals), float(residuals @ residuals)
    if points < 10 or power == 0:
        return 1.0
    correlation = float(residuals[1:] @ residuals[:-1]) / power
    if correlation <= 2 / sqrt(points):
        return 1.0
    correlation = min(correlation, 0.9)
    return (1 + correlation) / (1 - correlation)
