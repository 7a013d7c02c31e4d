"""Known laws come back at the stated rate, wrong laws are rejected, too little data is said so."""

import numpy as np
import pytest

from umup_diag.checks.result import Verdict
from umup_diag.checks.scale_law.law_fit import (
    Assessment,
    Measurements,
    assess,
    fit_family,
    fit_worst_error,
)
from umup_diag.scaling.interpolation import LawFamily, Limit, parameter
from umup_diag.scaling.scale_laws import Source

ALPHA = parameter("alpha")
FAMILY = LawFamily(upper=Limit(), lower=Limit(), ratios=(ALPHA,))
TRUTH = {"upper": 0.9, "lower": 0.2, "c": 3.0, "k": -1.5}
ALPHAS = 2.0 ** np.arange(-8, 9)


def synthetic(noise: float, seed: int, alphas: np.ndarray = ALPHAS) -> Measurements:
    points = tuple({"alpha": float(a)} for a in alphas)
    theta = np.array([np.log(0.9), np.log(0.2), np.log(3.0), -1.5])
    noisy = np.random.default_rng(seed).normal(FAMILY.bind(points).log_sigma(theta), noise)
    return Measurements(
        points=points, rms=np.exp(noisy), relative_error=np.full(len(points), noise)
    )


def judged(measured: Measurements, log_sigma: np.ndarray, tolerance: float = 0.1) -> Assessment:
    here = Source("here", "this file")
    return assess(measured, log_sigma, law="it", source=here, expression="?", tolerance=tolerance)


def test_intervals_cover_the_constants_at_the_stated_rate() -> None:
    runs = 400
    inside = dict.fromkeys(TRUTH, 0)
    for seed in range(runs):
        for constant in fit_family(synthetic(0.01, seed), FAMILY).constants:
            inside[constant.name] += constant.low < TRUTH[constant.name] < constant.high
    # Binomial: 95 % ± 3 standard deviations of 400 runs, for each constant.
    band = 3 * np.sqrt(0.95 * 0.05 / runs)
    for name, count in inside.items():
        assert abs(count / runs - 0.95) < band, (name, count)


def test_a_true_law_is_rejected_only_as_often_as_stated() -> None:
    truth = FAMILY.bind(synthetic(0.01, 0).points).log_sigma(
        np.array([np.log(0.9), np.log(0.2), np.log(3.0), -1.5])
    )
    p_values = [judged(synthetic(0.01, seed), truth).p_value for seed in range(400)]
    # Uniform: a tenth of 400 below 0.1, ± 3 standard deviations.
    assert abs(np.mean(np.array(p_values) < 0.1) - 0.1) < 3 * np.sqrt(0.09 / 400)


def test_a_law_wrong_by_three_percent_is_wrong_beyond_noise() -> None:
    measured = synthetic(0.002, 1)
    theta = np.array([np.log(0.9), np.log(0.2), np.log(3.0), -1.5])
    wrong = judged(measured, FAMILY.bind(measured.points).log_sigma(theta) + np.log(1.03))
    assert wrong.rejected
    assert wrong.beyond_noise == pytest.approx(np.log(1.03), abs=0.002)
    assert wrong.worst_error == pytest.approx(0.03, abs=0.006)
    assert wrong.verdict is Verdict.PASS  # Wrong, but within the tolerance of 10 %.


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [
        (1.05, 0.002, Verdict.PASS),
        (1.20, 0.002, Verdict.FAIL),
        (1.05, 0.2, Verdict.INCONCLUSIVE),
        (1.20, 0.2, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(factor: float, noise: float, verdict: Verdict) -> None:
    measured = synthetic(noise, 2)
    theta = np.array([np.log(0.9), np.log(0.2), np.log(3.0), -1.5])
    law = FAMILY.bind(measured.points).log_sigma(theta) + np.log(factor)
    assert judged(measured, law).verdict is verdict


def test_a_wrong_family_reports_its_own_error() -> None:
    measured = synthetic(0.001, 3)
    power_law = fit_family(measured, LawFamily(upper=Limit(powers=(ALPHA,))))
    residual = power_law.log_sigma - measured.log_rms
    assert power_law.discrepancy == pytest.approx(np.std(residual), rel=0.1)
    assert power_law.discrepancy > 0.1
    # The constant's interval is that of a mean with this spread, not that of the noise.
    upper = power_law.constants[0]
    half = np.log(upper.high / upper.low) / 2
    expected = 2.13 * power_law.discrepancy / np.sqrt(len(ALPHAS))  # Student's t, 15 degrees
    assert half == pytest.approx(expected, rel=0.05)
    assert fit_family(measured, FAMILY).discrepancy == 0.0
    assert fit_family(measured, FAMILY).information < power_law.information


def test_noiseless_points_do_not_decide_alone_when_the_family_is_wrong() -> None:
    measured = synthetic(0.01, 4)
    errors = np.full(len(ALPHAS), 0.01)
    errors[:2] = 1e-5
    lopsided = Measurements(points=measured.points, rms=measured.rms, relative_error=errors)
    family = LawFamily(upper=Limit())
    constant = fit_family(lopsided, family).constants[0].value
    assert constant == pytest.approx(np.exp(np.mean(measured.log_rms)), rel=0.01)


def test_flat_data_do_not_determine_the_weight() -> None:
    measured = synthetic(0.001, 5, alphas=2.0 ** np.arange(8, 16))
    fit = {constant.name: constant for constant in fit_family(measured, FAMILY).constants}
    assert not fit["k"].determined or not fit["c"].determined


def test_the_upper_limit_comes_first() -> None:
    for seed in range(5):
        values = {c.name: c.value for c in fit_family(synthetic(0.01, seed), FAMILY).constants}
        assert values["upper"] > values["lower"]
        assert values["k"] < 0


def test_pinned_limits_stay_pinned() -> None:
    known = LawFamily(
        upper=Limit(),
        lower=Limit(constant_free=False),
        ratios=(ALPHA,),
        coefficient=3.0,
        exponents=(-1.5,),
    )
    assert known.constants == ("upper",)
    assert len(fit_family(synthetic(0.01, 0), known).constants) == 1


def test_fewer_points_than_constants_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 points cannot fix 4 constants"):
        fit_family(synthetic(0.01, 0, alphas=np.array([1.0, 2.0, 4.0])), FAMILY)


def test_the_smallest_worst_error_is_not_above_that_of_least_squares() -> None:
    measured = synthetic(0.05, 6)
    bound = FAMILY.bind(measured.points)
    upper, lower, c, k = fit_worst_error(measured, FAMILY)
    minimax = bound.log_sigma(np.array([np.log(upper), np.log(lower), np.log(c), k]))
    least_squares = fit_family(measured, FAMILY).log_sigma
    worst = [float(np.max(np.abs(law - measured.log_rms))) for law in (minimax, least_squares)]
    assert worst[0] < 0.9 * worst[1]
