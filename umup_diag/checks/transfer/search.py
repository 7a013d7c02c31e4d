"""Which runs to do next: coarse, then fine around the best, and further where that is the edge."""

from collections.abc import Mapping, Sequence
from math import floor, inf, isinf
from statistics import fmean

from umup_diag.checks.transfer.optimum import REACH

#: index on the grid → seed → final loss; the value at an index is low · 2^index.
Tried = Mapping[int, Mapping[int, float]]

COARSE = 2  #: octaves between the values of the first look
FARTHEST = 12  #: octaves that the search may go beyond the range, either way


def wanted(tried: Tried, *, octaves: float, seeds: int) -> list[tuple[int, int]]:
    """The runs that a size still needs, as (index, seed); none when its optimum is bracketed.

    First one seed over the range, `COARSE` octaves apart, and on beyond its ends while the best
    value is the last one. Then, for all seeds, every octave within `REACH` of the best.

    Args:
        tried: the runs that are done.
        octaves: of the range.
        seeds: at each value of the fine grid.
    """
    coarse = range(0, floor(octaves) + COARSE, COARSE)
    if missing := _missing(tried, coarse, range(1)):
        return missing
    first = {index: losses[0] for index, losses in tried.items()}
    best = min(first, key=lambda index: (first[index], index))
    if isinf(first[best]):  # nothing trains: lower is safer
        beyond = min(first) - COARSE
        return [(beyond, 0)] if beyond >= -FARTHEST else []
    if best == min(first) and best - COARSE >= -FARTHEST:
        return [(best - COARSE, 0)]
    if best == max(first) and best + COARSE <= octaves + FARTHEST:
        return [(best + COARSE, 0)]
    whole = {i: fmean(losses.values()) for i, losses in tried.items() if len(losses) == seeds}
    centre = min(whole, key=lambda index: (whole[index], index)) if whole else _vertex(first, best)
    if whole and isinf(whole[centre]):
        centre = best
    reach, limit = int(REACH), FARTHEST + int(REACH)
    window = range(max(centre - reach, -limit), min(centre + reach, floor(octaves) + limit) + 1)
    return _missing(tried, window, range(seeds))


def _missing(tried: Tried, indices: Sequence[int], seeds: Sequence[int]) -> list[tuple[int, int]]:
    return [(i, seed) for i in indices for seed in seeds if seed not in tried.get(i, {})]


def _vertex(losses: Mapping[int, float], best: int) -> int:
    """The index nearest to the vertex of the parabola through the best value and its neighbours."""
    below, above = losses.get(best - COARSE, inf), losses.get(best + COARSE, inf)
    bend = below - 2 * losses[best] + above
    if isinf(bend) or bend <= 0:
        return best
    return best + round(COARSE * (below - above) / (2 * bend))
