"""Where the loss is least: a quadratic in log2 of the hyperparameter, fitted around the best value.

Each seed is an experiment of its own: it sees its own text in its own order from its own weights,
the same at every value. So each seed has a level and a slope of its own, and they share one
curvature, which takes all of them to tell. Each seed's optimum follows, and their spread is the
uncertainty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from umup_diag.checks.interval import quantile
from umup_diag.checks.transfer.surface import Curve, is_finished, mean_loss

REACH = 2.0  #: octaves on either side of the best value that the quadratic is fitted to
SLACK = 1e-6  #: octaves, of rounding


class Undetermined(StrEnum):
    """Why a size has no optimum."""

    DIVERGED = "every run diverged or learnt nothing"
    EDGE = "the best value is at the edge of what was tried"
    CLIFF = "runs break off right next to the best value, so it is no smooth optimum"
    FLAT = "the loss is flat for its noise: more seeds or steps would tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The optimum at one size.

    Attributes:
        by_seed: seed → log2 of its best value.
        curvature: c of loss = … + c·(log2 value − optimum)², in nats an octave².
        loss: at the optimum, the mean over seeds.
        window: log2 of the values that the quadratic was fitted to.
    """

    by_seed: Mapping[int, float]
    curvature: float
    loss: float
    window: tuple[float, ...]

    @property
    def log2(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.by_seed.values())))


def optimum(curve: Curve) -> Optimum | Undetermined:
    """Fit it; or say why it cannot be.

    Only values at which every seed ran to its end take part.
    """
    seeds = max((set(losses) for losses in curve.values()), key=len, default=set())
    tried = {x: losses for x, losses in curve.items() if set(losses) == seeds}
    finished = {x: losses for x, losses in tried.items() if is_finished(losses)}
    if not finished:
        return Undetermined.DIVERGED
    best = min(finished, key=lambda x: mean_loss(finished[x]))
    if best in (min(tried), max(tried)):
        return Undetermined.EDGE
    window = [x for x in finished if abs(x - best) <= REACH + SLACK]
    if best in (min(window), max(window)) or len(window) < 3:
        return Undetermined.CLIFF
    return _fit(np.array(window), {s: np.array([finished[x][s] for x in window]) for s in seeds})


def _fit(x: np.ndarray, losses: Mapping[int, np.ndarray]) -> Optimum | Undetermined:
    """Least squares: a level and a slope a seed, one curvature."""
    seeds, u = sorted(losses), x - x.mean()
    own = np.eye(len(seeds))
    design = np.hstack(
        [
            np.kron(own, np.ones((len(u), 1))),
            np.kron(own, u[:, None]),
            np.tile(u**2, len(seeds))[:, None],
        ]
    )
    y = np.concatenate([losses[seed] for seed in seeds])
    inverse = np.linalg.pinv(design)
    fitted = inverse @ y
    levels, slopes, curvature = (*np.split(fitted[:-1], 2), float(fitted[-1]))
    freedom = len(y) - len(fitted)
    if freedom > 0:
        noise = float(np.sum((y - design @ fitted) ** 2)) / freedom
        error = (noise * float(inverse[-1] @ inverse[-1])) ** 0.5
        is_flat = curvature <= quantile(freedom) * error
    else:
        is_flat = curvature <= 0
    if is_flat:
        return Undetermined.FLAT
    at = -slopes / (2 * curvature)
    return Optimum(
        by_seed={seed: float(x.mean() + each) for seed, each in zip(seeds, at, strict=True)},
        curvature=curvature,
        loss=float(np.mean(levels - curvature * at**2)),
        window=tuple(map(float, x)),
    )
