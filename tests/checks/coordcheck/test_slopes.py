from math import inf, log2

import numpy as np
import pytest

from umup_diag.checks.coordcheck.slopes import fit


def noisy(
    slope: float, sigma: float, seeds: int, random: np.random.Generator
) -> dict[int, dict[int, float]]:
    widths = (128, 256, 512, 1024)
    return {
        seed: {w: slope * log2(w) + sigma * random.standard_normal() for w in widths}
        for seed in range(seeds)
    }


def test_an_exact_power_law_is_recovered() -> None:
    found = fit(noisy(-0.5, 0.0, 3, np.random.default_rng(0)))
    assert (found.mean, found.low, found.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """95 % of 2000 intervals, give or take three binomial standard deviations: 93.5 to 96.5 %."""
    random = np.random.default_rng(1)
    fits = [fit(noisy(0.25, 0.1, 5, random)) for _ in range(2000)]
    covered = np.mean([found.low <= 0.25 <= found.high for found in fits])
    assert covered == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 2000) ** 0.5)


def test_one_seed_gives_no_interval() -> None:
    found = fit(noisy(1.0, 0.1, 1, np.random.default_rng(0)))
    assert (found.low, found.high) == (-inf, inf)


def test_how_many_seeds_would_settle_it() -> None:
    found = fit(noisy(0.0, 0.2, 5, np.random.default_rng(2)))
    seeds = found.seeds_for(found.half_width / 3)
    assert seeds is not None
    assert 20 < seeds < 60
    assert found.seeds_for(1e-6) is None
