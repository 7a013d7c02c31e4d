"""How optima drift with size, and how far a drift can go before the loss feels it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log2, sqrt

import numpy as np

from umup_diag.checks.interval import quantile
from umup_diag.checks.transfer.optimum import Optimum

Interval = tuple[float, float]

#: A rule that is wrong is wrong by half a power of size or more: a drift beyond half of that is
#: nearer to a fault than to what is right; if these sizes do not feel it, larger ones will.
EDGE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A line through the optima over log2 of size.

    Attributes:
        slope: octaves a doubling.
        interval: its 95 % interval.
        extrapolated: log2 of the optimum at the target size.
        extrapolated_interval: its 95 % interval.
    """

    slope: float
    interval: Interval
    extrapolated: float
    extrapolated_interval: Interval


def drift(optima: Mapping[float, Optimum], *, target: float) -> Drift:
    """One slope for all seeds, each at its own level, as seeds share their text over sizes.

    Args:
        optima: size → optimum; two sizes or more, of the same seeds.
        target: size to extrapolate to.
    """
    sizes, seeds = list(optima), sorted(next(iter(optima.values())).by_seed)
    x = np.log2(sizes)
    u = x - x.mean()
    at = np.array([[optima[size].by_seed[seed] for size in sizes] for seed in seeds])
    levels = at.mean(axis=1, keepdims=True)
    spread = float(u @ u)
    slope = float((at @ u).mean() / spread)
    freedom = at.size - len(seeds) - 1
    ahead = log2(target) - float(x.mean())
    extrapolated = float(levels.mean()) + slope * ahead
    if freedom < 1:
        return Drift(
            slope=slope,
            interval=(-inf, inf),
            extrapolated=extrapolated,
            extrapolated_interval=(-inf, inf),
        )
    noise = float(np.sum((at - levels - slope * u) ** 2)) / freedom
    of_slope = noise / (len(seeds) * spread)
    of_level = float(levels.var(ddof=1)) / len(seeds) if len(seeds) > 1 else noise / len(sizes)
    half = quantile(freedom) * sqrt(of_slope)
    reach = quantile(freedom) * sqrt(of_slope * ahead**2 + of_level)
    return Drift(
        slope=slope,
        interval=(slope - half, slope + half),
        extrapolated=extrapolated,
        extrapolated_interval=(extrapolated - reach, extrapolated + reach),
    )


def half_width(optima: Mapping[float, Optimum]) -> float:
    """Half of the 95 % interval of an optimum: the spread between seeds, pooled over sizes."""
    at = [np.array(list(each.by_seed.values())) for each in optima.values()]
    seeds = len(at[0])
    if seeds < 2:
        return inf
    pooled = float(np.mean([each.var(ddof=1) for each in at]))
    return quantile(len(at) * (seeds - 1)) * sqrt(pooled / seeds)


def unfelt(optima: Mapping[float, Optimum], *, tolerance: float) -> float:
    """The drift, in octaves a doubling, that costs the largest size a share of its loss.

    Whoever takes the smallest size's optimum to the largest size is off by the drift times the
    doublings between them, and pays the curvature times its square.

    Args:
        optima: size → optimum, ascending.
        tolerance: the share.
    """
    first, last = min(optima), max(optima)
    nats = tolerance * optima[last].loss
    return sqrt(nats / optima[last].curvature) / log2(last / first)
