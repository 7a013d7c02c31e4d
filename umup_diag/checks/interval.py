"""Student's interval for a mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from scipy.special import stdtrit  # scipy.stats, which has the same, takes a second to import

from umup_diag.checks.verdict import Verdict, equivalence

__all__ = ["CONFIDENCE", "Mean", "Verdict", "equivalence", "half_width"]

CONFIDENCE = 0.95


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
        half = half_width(std, len(values))
        return cls(mean=mean, low=mean - half, high=mean + half, std=std, seeds=len(values))


def half_width(std: float, seeds: int) -> float:
    """Of Student's interval for the mean of so many seeds."""
    return float(stdtrit(seeds - 1, (1 + CONFIDENCE) / 2)) * std / sqrt(seeds)
