"""How a quantity goes with size: one slope for all seeds, its interval from the residuals.

Every seed has its own level and all share one slope, so that each (seed, size) is a measurement of
its own: with 5 seeds and 3 sizes, 9 degrees of freedom stand behind the interval and not 4.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log2, sqrt

import numpy as np

from umup_diag.checks.interval import CONFIDENCE, quantile

Values = Mapping[int, Mapping[int, float]]  #: seed → size along an axis → value
DOUBT = 1 - CONFIDENCE  #: probability that an interval misses, if nothing else is asked
MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A slope of log2 value against log2 size.

    Attributes:
        slope: by least squares, with a level for each seed.
        error: its standard error.
        freedom: degrees of freedom behind the error.
        seeds: how many have two sizes or more.
        points: (size, geometric mean over seeds).
    """

    slope: float
    error: float
    freedom: int
    seeds: int = 0
    points: tuple[tuple[int, float], ...] = ()

    def interval(self, doubt: float = DOUBT) -> tuple[float, float]:
        """Student's, which misses the slope with a probability of `doubt`."""
        half = self.half_width(doubt)
        return self.slope - half, self.slope + half

    def half_width(self, doubt: float = DOUBT) -> float:
        """Of that interval; infinite where nothing tells noise from slope."""
        if self.freedom < 1 or not isfinite(self.error):
            return inf
        return quantile(self.freedom, doubt) * self.error

    def seeds_for(self, wanted: float, doubt: float = DOUBT) -> int | None:
        """How many seeds like these would make the half-width that small; None beyond 1000."""
        if self.seeds < 1 or self.freedom < 1 or not isfinite(self.error):
            return None
        for seeds in range(self.seeds, MOST_SEEDS + 1):
            more = seeds / self.seeds
            freedom = int((self.freedom + 1) * more) - 1
            if quantile(freedom, doubt) * self.error / sqrt(more) <= wanted:
                return seeds
        return None

    def __add__(self, other: "Trend") -> "Trend":
        """The trend of a product of two quantities that vary independently."""
        factor = dict(other.points)
        return Trend(
            slope=self.slope + other.slope,
            error=sqrt(self.error**2 + other.error**2),
            freedom=min(self.freedom, other.freedom),
            seeds=min(self.seeds, other.seeds),
            points=tuple((w, value * factor.get(w, 1.0)) for w, value in self.points),
        )


def usable(values: Values) -> dict[int, dict[int, float]]:
    """The values that have a logarithm, of the seeds that have two of them."""
    kept = {
        seed: {width: value for width, value in widths.items() if value > 0 and isfinite(value)}
        for seed, widths in values.items()
    }
    return {seed: widths for seed, widths in kept.items() if len(widths) > 1}


def trend(values: Values, *, without: Collection[int] = ()) -> Trend | None:
    """Fit log2 of positive values; None without two sizes that share a seed.

    Args:
        values: of each seed at each size.
        without: sizes that the fit leaves out; they are among the points all the same.
    """
    every = usable(values)
    kept = usable(
        {s: {w: x for w, x in each.items() if w not in without} for s, each in every.items()}
    )
    if not kept:
        return None
    xs, ys = [], []
    for widths in kept.values():
        x, y = np.log2(list(widths)), np.log2(list(widths.values()))
        xs.append(x - x.mean())
        ys.append(y - y.mean())
    x, y = np.concatenate(xs), np.concatenate(ys)
    spread = float(x @ x)
    slope = float(x @ y) / spread
    freedom = len(x) - len(kept) - 1
    rest = y - slope * x
    error = sqrt(float(rest @ rest) / freedom / spread) if freedom > 0 else inf
    return Trend(
        slope=slope,
        error=error,
        freedom=freedom,
        seeds=len(kept),
        points=_means(every),
    )


def pooled(series: Sequence[Values], *, without: Collection[int] = ()) -> Trend | None:
    """The trend of the geometric mean of several series, over those that each point has."""
    logs: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for values in series:
        for seed, widths in usable(values).items():
            for width, value in widths.items():
                logs[seed][width].append(log2(value))
    return trend(
        {s: {w: 2 ** float(np.mean(x)) for w, x in each.items()} for s, each in logs.items()},
        without=without,
    )


def _means(kept: Values) -> tuple[tuple[int, float], ...]:
    widths = sorted({width for each in kept.values() for width in each})
    return tuple(
        (w, float(2 ** np.mean([np.log2(each[w]) for each in kept.values() if w in each])))
        for w in widths
    )
