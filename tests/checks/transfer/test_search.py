"""The search brackets an optimum wherever it lies, with few runs, and ends."""

from math import inf, isinf

import pytest

from umup_diag.checks.transfer.search import FARTHEST, wanted


def searched(loss: dict[int, float] | None = None, *, at: float = 0.0, seeds: int = 3) -> set[int]:
    """The indices tried of a parabola, or of losses given; the search must end."""
    tried: dict[int, dict[int, float]] = {}
    for _ in range(100):
        runs = wanted(tried, octaves=6, seeds=seeds)
        if not runs:
            return {index for index, of_seeds in tried.items() if len(of_seeds) == seeds}
        assert len(set(runs)) == len(runs)
        for index, seed in runs:
            value = (index - at) ** 2 if loss is None else loss.get(index, inf)
            tried.setdefault(index, {})[seed] = value
    raise AssertionError("it goes on for ever")


@pytest.mark.parametrize("at", [-9.7, -2.0, 0.0, 0.4, 3.0, 5.9, 6.0, 13.3])
def test_it_brackets_the_optimum_and_goes_beyond_the_range(at: float) -> None:
    whole = searched(at=at)
    best = round(at)
    assert {best - 2, best - 1, best, best + 1, best + 2} <= whole
    assert len(whole) <= 8  # of all seeds: the window, and what the first look missed by


def test_it_goes_no_further_than_it_may() -> None:
    assert min(searched(at=-1000)) >= -FARTHEST - 2
    assert max(searched(at=1000)) <= 6 + FARTHEST + 2


def test_where_nothing_trains_it_looks_lower_and_gives_up() -> None:
    tried: dict[int, dict[int, float]] = {}
    while runs := wanted(tried, octaves=6, seeds=3):
        for index, seed in runs:
            tried.setdefault(index, {})[seed] = inf
    assert min(tried) == -FARTHEST
    assert all(isinf(losses[0]) and len(losses) == 1 for losses in tried.values())


def test_runs_that_diverge_bound_it_from_above() -> None:
    losses = {index: 2.0 + 0.1 * (index - 1) ** 2 for index in range(-20, 3)}  # above 2: infinite
    assert {-1, 0, 1, 2, 3} <= searched(losses)
