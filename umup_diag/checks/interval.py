"""Student's interval for a mean, and the verdict on an interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, nan, sqrt

import numpy as np
from scipy.special import stdtrit  # scipy.stats, which has the same, takes a second to import

CONFIDENCE = 0.95


class Verdict(StrEnum):
    """Three outcomes, as in any honest test: noise must not read as success or as failure."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """What the command line exits with: 0 pass, 1 fail, 3 inconclusive (2 is bad input)."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}[self]

    @property
    def severity(self) -> int:
        """To sort by, worst first."""
        return [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS].index(self)


def equivalence(interval: tuple[float, float], band: tuple[float, float]) -> Verdict:
    """Judge an interval against the band of values that count as right.

    PASS when the whole interval lies inside the band, FAIL when it lies wholly outside (a
    non-finite end included), INCONCLUSIVE otherwise: two one-sided tests, so a wide interval can
    never pass.

    Args:
        interval: lower and upper end of the measured quantity's 95 % interval.
        band: lower and upper end of what is acceptable, ends included.
    """
    low, high = interval
    if low >= band[0] and high <= band[1]:
        return Verdict.PASS
    if high < band[0] or low > band[1]:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE


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

    @property
    def half_width(self) -> float:
        """Of the interval."""
        return (self.high - self.low) / 2

    def seeds_for(self, wanted: float) -> int | None:
        """How many seeds like these would make the half-width that small; None beyond 1000."""
        for seeds in range(max(self.seeds, 2), 1001):
            if half_width(self.std, seeds) <= wanted:
                return seeds
        return None


def half_width(std: float, seeds: int) -> float:
    """Of Student's interval for the mean of so many seeds."""
    return float(stdtrit(seeds - 1, (1 + CONFIDENCE) / 2)) * std / sqrt(seeds)
