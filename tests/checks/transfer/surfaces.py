"""Loss surfaces whose optima are known, as runs would record them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from umup_diag.checks.transfer.search import wanted

STEPS = 40


@dataclass(frozen=True, kw_only=True)
class Known:
    """A quadratic for every size, with what seeds and noise do to it.

    Attributes:
        slope: octaves a doubling that its optimum moves.
        start: log2 of the optimum at size 1.
        curvature: nats an octave².
        seed_spread: standard deviation between seeds of the optimum at one size, in octaves.
        noise: standard deviation of a run's loss, in nats.
        skew: cubic term, nats an octave³.
        diverges_above: octaves over the optimum from which runs are given up.
    """

    slope: float
    start: float = 3.3
    curvature: float = 0.1
    seed_spread: float = 0.1
    noise: float = 0.01
    skew: float = 0.0
    diverges_above: float = float("inf")

    def optimum(self, size: float) -> float:
        return self.start + self.slope * log2(size)

    def losses(
        self, size: float, index: int, seed: int, shift: float, draw: np.random.Generator
    ) -> float:
        u = index - self.optimum(size) - shift
        if u > self.diverges_above:
            return float("inf")
        level = 2.0 + 1.0 / log2(size) + 0.1 * seed
        return float(
            level + self.curvature * u**2 + self.skew * u**3 + draw.normal(0.0, self.noise)
        )

    def search(
        self, sizes: Sequence[float], *, seeds: int, octaves: float, draw: np.random.Generator
    ) -> dict[float, dict[float, dict[int, float]]]:
        """What the search of the check would see of it."""
        found: dict[float, dict[float, dict[int, float]]] = {}
        for size in sizes:
            shifts = draw.normal(0.0, self.seed_spread, size=seeds)
            tried: dict[int, dict[int, float]] = {}
            while runs := wanted(tried, octaves=octaves, seeds=seeds):
                for index, seed in runs:
                    loss = self.losses(size, index, seed, shifts[seed], draw)
                    tried.setdefault(index, {})[seed] = loss
            found[size] = _by_value(tried)
        return found


def _by_value(tried: Mapping[int, Mapping[int, float]]) -> dict[float, dict[int, float]]:
    return {float(index): dict(losses) for index, losses in sorted(tried.items())}
