"""Slopes with their intervals, and what is decided from them."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from umup_diag.checks.coordcheck.decision import AT_MOST_FLAT, FLAT, Doubt, decide
from umup_diag.checks.coordcheck.settings import LOOKS
from umup_diag.checks.coordcheck.trend import Trend, Values, pooled, trend
from umup_diag.checks.verdict import Verdict

WIDTHS = (128, 256, 512)


def series(slope: float, noise: float, *, seeds: int = 5, draw: random.Random) -> Values:
    return {
        seed: {
            width: 2 ** (seed + slope * math.log2(width) + draw.gauss(0, noise)) for width in WIDTHS
        }
        for seed in range(seeds)
    }


def test_a_power_of_width_is_found_exactly_whatever_each_seeds_level() -> None:
    found = trend(series(0.5, 0.0, draw=random.Random(0)))
    assert found is not None
    assert found.slope == pytest.approx(0.5)
    assert found.error == pytest.approx(0.0, abs=1e-9)
    assert found.freedom == 9


def test_the_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    """95 of 100: of 2000 draws 1900 ± 3·√(2000·0.05·0.95)."""
    draw = random.Random(1)
    hits = 0
    for _ in range(2000):
        found = trend(series(-0.5, 0.3, seeds=4, draw=draw))
        assert found is not None
        low, high = found.interval()
        hits += low <= -0.5 <= high
    assert abs(hits - 1900) <= 30


def test_points_without_a_logarithm_are_left_out() -> None:
    values = {0: {128: 1.0, 256: 0.0, 512: 4.0}, 1: {128: 1.0, 256: -1.0}}
    found = trend(values)
    assert found is not None
    assert found.slope == pytest.approx(1.0)
    assert trend({0: {128: 0.0, 256: 0.0}}) is None


def test_several_series_together_are_known_better() -> None:
    draw = random.Random(2)
    many = [series(0.0, 0.5, draw=draw) for _ in range(16)]
    together, alone = pooled(many), trend(many[0])
    assert together is not None
    assert alone is not None
    assert together.error < alone.error / 2


def one(slope: float, error: float, freedom: int = 9) -> Trend:
    return Trend(slope=slope, error=error, freedom=freedom)


@pytest.mark.parametrize(
    ("slope", "error", "verdict", "leans"),
    [
        (0.05, 0.02, Verdict.PASS, False),
        (0.15, 0.12, Verdict.PASS, False),  # noisy, but no half power
        (0.05, 0.40, Verdict.INCONCLUSIVE, False),  # a half power may hide in it
        (0.50, 0.02, Verdict.FAIL, True),
        (-1.00, 0.10, Verdict.FAIL, True),
        (0.45, 0.15, Verdict.INCONCLUSIVE, True),  # nearer to a fault, and not sure
    ],
)
def test_right_wrong_and_not_decided(
    slope: float, error: float, verdict: Verdict, leans: bool
) -> None:
    found = decide(one(slope, error), FLAT, doubt=Doubt(findings=40))
    assert (found.verdict, found.leans) == (verdict, leans)


def test_a_gain_may_shrink_but_not_grow() -> None:
    assert decide(one(-0.5, 0.01), AT_MOST_FLAT, doubt=Doubt(findings=1)).verdict is Verdict.PASS
    assert decide(one(0.5, 0.01), AT_MOST_FLAT, doubt=Doubt(findings=1)).verdict is Verdict.FAIL


def test_one_seed_decides_nothing() -> None:
    found = trend({0: {128: 1.0, 256: 2.0}})
    assert found is not None
    assert decide(found, FLAT, doubt=Doubt(findings=1)).verdict is Verdict.INCONCLUSIVE


def false_alarms(tensors: int, noise: Callable[[], float]) -> int:
    draw = random.Random(3)
    alarms = 0
    for _ in range(100):
        for _ in range(tensors):
            found = trend(series(0.0, noise(), draw=draw))
            assert found is not None
            if decide(found, FLAT, doubt=Doubt(findings=tensors)).is_wrong:
                alarms += 1
                break
    return alarms


def test_a_correct_model_fails_in_at_most_one_of_a_hundred_runs() -> None:
    """60 tensors, noisy as a rare expert: of 100 runs, 1 at most is expected, and 3σ more."""
    assert false_alarms(60, lambda: 1.0) <= 1 + 3


def test_how_many_seeds_would_decide_it() -> None:
    """An interval of half that width takes four times the seeds, and a little less for Student."""
    found = trend(series(0.05, 0.4, seeds=5, draw=random.Random(4)))
    assert found is not None
    assert found.seeds == 5
    seeds = found.seeds_for(found.half_width() / 2)
    assert seeds is not None
    assert 14 <= seeds <= 20
    assert found.seeds_for(1e-6) is None
    open_ = decide(replace(found, slope=0.45), FLAT, doubt=Doubt(findings=40))
    assert open_.verdict is Verdict.INCONCLUSIVE
    assert open_.seeds is not None
    more = found.error * (found.seeds / open_.seeds) ** 0.5
    settled = Trend(slope=0.45, error=more, freedom=2 * open_.seeds - 1)
    assert decide(settled, FLAT, doubt=Doubt(findings=40)).verdict is Verdict.FAIL


def looked_at_until_settled(
    slope: float, noise: float, draw: random.Random, findings: int
) -> Verdict:
    values = series(slope, noise, seeds=LOOKS[-1], draw=draw)
    doubt = Doubt(findings=findings, looks=len(LOOKS))
    for seeds in LOOKS:
        found = trend({seed: values[seed] for seed in range(seeds)})
        assert found is not None
        verdict = decide(found, FLAT, doubt=doubt).verdict
        if verdict is not Verdict.INCONCLUSIVE:
            return verdict
    return Verdict.INCONCLUSIVE


@pytest.mark.parametrize("noise", [0.3, 0.6, 1.2])
def test_looking_again_and_again_keeps_the_error_rates(noise: float) -> None:
    """Of 400 noisy series each, at most 1 % of right ones fail and 2.5 % of faults pass, + 3σ."""
    draw, runs = random.Random(5), 400
    right = [looked_at_until_settled(0.0, noise, draw, 1) for _ in range(runs)]
    wrong = [looked_at_until_settled(0.5, noise, draw, 1) for _ in range(runs)]
    assert right.count(Verdict.FAIL) <= runs * 0.01 + 3 * (runs * 0.01) ** 0.5
    assert wrong.count(Verdict.PASS) <= runs * 0.025 + 3 * (runs * 0.025) ** 0.5
    assert right.count(Verdict.INCONCLUSIVE) < runs / 2, "and the looks are worth it"
