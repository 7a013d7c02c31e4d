"""Forecasts: the interval covers as often as it says, and flat noise raises no alarm."""

import numpy as np
import pytest

from umup_diag.checks.fp8_range.forecast import FALSE_ALARMS, Forecast, forecast, trend
from umup_diag.checks.result import Verdict

LIMIT = 8.0
TRIALS = 600
NOISE = 0.05


def steps(points: int) -> list[int]:
    return [100 * i for i in range(points)]


def look(values: np.ndarray, *, series: int = 1, upwards: bool = True) -> Forecast | None:
    at = steps(len(values))
    return forecast(
        "absmax",
        at,
        values.tolist(),
        LIMIT if upwards else -LIMIT,
        upwards=upwards,
        horizon=4 * at[-1],
        series=series,
    )


def growing(
    points: int, random: np.random.Generator, slope: float = 0.5
) -> tuple[float, np.ndarray]:
    """The step at which it crosses, and the values: a line with noise."""
    at = np.array(steps(points))
    truth = 2.0 * at[-1]
    return truth, LIMIT + (at - truth) * slope / 100 + random.normal(0, NOISE, points)


@pytest.mark.parametrize("points", [3, 5, 8, 20])
@pytest.mark.parametrize("upwards", [True, False])
def test_the_interval_covers_the_truth_as_often_as_it_says(points: int, upwards: bool) -> None:
    random = np.random.default_rng(points)
    covered = announced = 0
    for _ in range(TRIALS):
        truth, values = growing(points, random)
        found = look(values if upwards else -values, upwards=upwards)
        if found is None or found.crossing_interval is None:
            continue
        announced += 1
        low, high = found.crossing_interval
        covered += low <= truth <= high
    assert announced > TRIALS / 2
    standard_error = np.sqrt(0.95 * 0.05 / announced)
    assert abs(covered / announced - 0.95) < 3 * standard_error + 0.01  # 0.01: spikes, selection


@pytest.mark.parametrize("points", [3, 5, 8, 20])
def test_flat_noise_raises_no_more_alarms_than_stated(points: int) -> None:
    """Right below the limit, so that any slope at all would cross it."""
    random = np.random.default_rng(points)
    alarms = looked = 0
    for _ in range(TRIALS):
        found = look(LIMIT - 4 * NOISE + random.normal(0, NOISE, points))
        if found is not None:
            looked += 1
            alarms += found.verdict is Verdict.FAIL
    rate = FALSE_ALARMS / 2  # half of the false slopes lead away from the limit
    assert alarms <= rate * looked + 3 * np.sqrt(rate * (1 - rate) * looked)
    assert looked > TRIALS / 2


def test_a_recording_of_many_flat_series_raises_one_alarm_in_twenty() -> None:
    random = np.random.default_rng(0)
    series, recordings = 50, 40
    alarmed = 0
    for _ in range(recordings):
        values = LIMIT - 4 * NOISE + random.normal(0, NOISE, (series, 8))
        found = [look(each, series=series) for each in values]
        alarmed += any(each and each.verdict is Verdict.FAIL for each in found)
    assert alarmed <= FALSE_ALARMS * recordings + 3 * np.sqrt(FALSE_ALARMS * recordings)


def test_without_noise_the_crossing_is_exact() -> None:
    truth, _ = growing(6, np.random.default_rng(0))
    values = LIMIT + (np.array(steps(6)) - truth) * 0.005
    found = look(values)
    assert found is not None
    assert found.verdict is Verdict.FAIL
    assert found.crossing == pytest.approx(truth)
    assert found.crossing_interval == pytest.approx((truth, truth))
    assert found.growth == pytest.approx(5.0)


def test_a_crossing_beyond_the_horizon_passes() -> None:
    values = LIMIT + (np.array(steps(6)) - 9000) * 0.005
    found = look(values)
    assert found is not None
    assert found.verdict is Verdict.PASS
    assert found.crossing == pytest.approx(9000)


def test_growth_that_levels_off_is_not_extended() -> None:
    values = 4 + 3 * (1 - np.exp(-np.arange(9) / 3))
    found = look(values)
    assert found is not None
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "its growth is not steady"


def test_a_spike_does_not_move_the_trend() -> None:
    random = np.random.default_rng(3)
    _, values = growing(12, random)
    clean = trend(np.arange(12.0), values)
    values[10] -= 5
    spiked = trend(np.arange(12.0), values)
    assert spiked.points == 11
    assert abs(spiked.slope - clean.slope) < 0.02


def test_no_forecast_without_points_or_beyond_the_limit() -> None:
    assert look(np.array([1.0, 2.0])) is None
    assert look(np.array([1.0, np.nan, 3.0])) is None
    assert look(np.array([7.0, 8.1, 9.0])) is None


def test_noise_that_follows_itself_widens_the_interval() -> None:
    """Noise of correlation 0.7 about a flat line; an interval for independent noise covers 60 %."""
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        noise = random.normal(0, NOISE, 60)
        for i in range(1, 60):
            noise[i] += 0.7 * noise[i - 1]
        low, high = trend(np.arange(60.0), noise).slope_interval()
        covered += low <= 0 <= high
    assert covered > 0.85 * 300
