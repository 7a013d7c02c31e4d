"""Two searches over the same box, each a pure function of the losses that it has seen so far."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log2

import numpy as np

from umup_diag.settings.ranges import Values

Choice = tuple[tuple[str, float], ...]  #: hyperparameter → value, in the order of the settings
Seen = Callable[[Choice], float | None]  #: the loss at a choice; None where it was not run yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A search as far as it went.

    Attributes:
        missing: what it wants to run next; none when it has ended.
        losses: of its runs, in order.
        first: the best of the first hyperparameter alone.
        combined: the loss with every hyperparameter at its own best; None before that was run.
    """

    missing: tuple[Choice, ...] = ()
    losses: tuple[float, ...] = ()
    first: float | None = None
    combined: float | None = None

    @property
    def best_so_far(self) -> tuple[float, ...]:
        """The least loss after each run."""
        return tuple(accumulate(self.losses, min))


def centre(values: Mapping[str, Values]) -> dict[str, float]:
    """The middle of every hyperparameter's values."""
    return {name: grid[len(grid) // 2] for name, grid in values.items()}


def independent(values: Mapping[str, Values], seen: Seen) -> Trace:
    """The u-µP paper's: the first alone, then each other alone at the first's best, then all best.

    Args:
        values: hyperparameter → grid; what is not tuned yet is at its middle.
        seen: losses so far.
    """
    at, (first, *others) = centre(values), values
    losses: list[float] = []
    best_first, missing = _line(at, first, values[first], seen, losses)
    if missing:
        return Trace(missing=missing, losses=tuple(losses))
    at[first] = best_first
    alone = min(losses)
    bests, missing_all = dict(at), list[Choice]()
    for name in others:
        # the middle was run already, as the first's best
        grid = [value for value in values[name] if value != at[name]]
        best, missing = _line(at, name, grid, seen, losses)
        missing_all += missing
        if not missing and _loss({**at, name: best}, seen) < alone:
            bests[name] = best
    if missing_all:
        return Trace(missing=tuple(missing_all), losses=tuple(losses), first=alone)
    combined = seen(_choice(bests))
    if combined is None:
        return Trace(missing=(_choice(bests),), losses=tuple(losses), first=alone)
    return Trace(losses=(*losses, combined), first=alone, combined=combined)


def random(values: Mapping[str, Values], seen: Seen, *, runs: int, seed: int) -> Trace:
    """Uniform in log2 over the box of the grids.

    Args:
        values: hyperparameter → grid, of which the ends count.
        seen: losses so far.
        runs: how many.
        seed: of the draws.
    """
    draw = np.random.default_rng(seed)
    choices = [
        tuple(
            (name, 2.0 ** float(draw.uniform(log2(min(grid)), log2(max(grid)))))
            for name, grid in values.items()
        )
        for _ in range(runs)
    ]
    found = [seen(choice) for choice in choices]
    return Trace(
        missing=tuple(c for c, loss in zip(choices, found, strict=True) if loss is None),
        losses=tuple(loss for loss in found if loss is not None),
    )


def independent_runs(values: Mapping[str, Values]) -> int:
    """How many runs `independent` takes, at most."""
    first, *others = (len(grid) for grid in values.values())
    return first + sum(each - 1 for each in others) + 1


def _line(
    at: Mapping[str, float], name: str, grid: Sequence[float], seen: Seen, losses: list[float]
) -> tuple[float, tuple[Choice, ...]]:
    """The best value along one hyperparameter, and what is missing of the line."""
    found = [(seen(_choice({**at, name: value})), value) for value in grid]
    missing = tuple(_choice({**at, name: value}) for loss, value in found if loss is None)
    done = [(loss, value) for loss, value in found if loss is not None]
    losses += [loss for loss, _ in done]
    return min(done)[1] if done and not missing else at[name], missing


def _loss(at: Mapping[str, float], seen: Seen) -> float:
    loss = seen(_choice(at))
    assert loss is not None, "its line is complete"
    return loss


def _choice(at: Mapping[str, float]) -> Choice:
    return tuple(at.items())


def pairs(values: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    """Every two hyperparameters, in the order of the settings."""
    names = list(values)
    return ((one, other) for at, one in enumerate(names) for other in names[at + 1 :])
