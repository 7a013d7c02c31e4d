"""The engine: reproducible, unbiased, with honest error bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.measure.monte_carlo.attention_moments import AttentionMoments
from umup_diag.measure.monte_carlo.builtin_ops import BUILTIN_OPS, attention_by_autograd
from umup_diag.measure.monte_carlo.estimate import (
    MeanSquares,
    Sampler,
    draw_seed,
    draws_needed,
    estimate_grid,
    estimate_point,
)
from umup_diag.recording import Frame, Moments
from umup_diag.recording.frame import Point
from umup_diag.scaling.quadrature import EXACT
from umup_diag.scaling.scale_laws import harmonic

ATTENTION_POINT = {"seq_len": 24, "head_dim": 8, "alpha": 3.0}


@dataclass(frozen=True)
class Gamma:
    """A sampler of known law: mean squares are 4 · Gamma(shape) / shape, so σ = 2."""

    shape: float = 2.0
    name: str = "gamma"
    quantities: tuple[str, ...] = ("output",)

    def draw(self, point: Point, seeds: Sequence[int], device: torch.device) -> MeanSquares:
        draws = [np.random.default_rng(seed).gamma(self.shape) / self.shape for seed in seeds]
        return 4 * np.array(draws)[:, None]


def moments(frame: Frame) -> list[Moments]:
    statistics = [record.statistics for record in frame.records]
    assert all(isinstance(each, Moments) for each in statistics)
    return [each for each in statistics if isinstance(each, Moments)]


def error(estimate: Moments) -> float:
    assert estimate.relative_error is not None
    return estimate.relative_error


@pytest.mark.parametrize("name", ["gated-silu", "attention", "softmax"])
def test_chunking_does_not_change_the_estimate(name: str) -> None:
    sampler: Sampler = BUILTIN_OPS[name].sampler
    point = {"gated-silu": {"alpha": 1.0}, "softmax": {"size": 64, "alpha": 2.0}}.get(
        name, ATTENTION_POINT
    )
    runs = [
        moments(
            estimate_point(sampler, point, relative_error=0.01, seed=3, draws=40, draws_per_call=n)
        )
        for n in (1, 7, 40)
    ]
    for other in runs[1:]:
        for first, second in zip(runs[0], other, strict=True):
            assert second.rms == pytest.approx(first.rms, rel=1e-6)
            assert error(second) == pytest.approx(error(first), rel=1e-3, abs=1e-7)


def test_blocks_of_the_attention_matrix_do_not_change_the_estimate() -> None:
    seeds = [draw_seed(0, ATTENTION_POINT, i) for i in range(5)]
    cpu = torch.device("cpu")
    whole = AttentionMoments(causal=True).draw(ATTENTION_POINT, seeds, cpu)
    for elements in (1, 24 * 7, 24 * 24, 3 * 24 * 24):
        split = AttentionMoments(causal=True, block_elements=elements)
        np.testing.assert_allclose(split.draw(ATTENTION_POINT, seeds, cpu), whole, rtol=2e-5)


def test_a_points_numbers_do_not_depend_on_the_rest_of_the_grid() -> None:
    sampler = BUILTIN_OPS["silu"].sampler

    def frames(alphas: Sequence[float], seed: int) -> list[str]:
        grid = [{"alpha": alpha} for alpha in alphas]
        return [repr(f) for f in estimate_grid(sampler, grid, relative_error=0.01, seed=seed)]

    assert frames([1.0, 2.0], seed=1)[1:] == frames([2.0], seed=1)
    assert frames([2.0], seed=2) != frames([2.0], seed=1)


def test_seeds_differ_by_run_point_and_draw() -> None:
    seeds = {
        draw_seed(run, {"alpha": alpha}, draw)
        for run in range(5)
        for alpha in (0.5, 1.0, 2.0)
        for draw in range(50)
    }
    assert len(seeds) == 5 * 3 * 50


def test_the_pilot_fixes_the_number_of_draws() -> None:
    # Relative standard deviation of a mean square 0.2, so 0.1 of its root: (0.1 / 0.01)² draws.
    values = np.array([[0.8], [1.2]] * 5000)
    assert draws_needed(values, 0.01) == pytest.approx(100, abs=1)
    assert draws_needed(np.ones((16, 2)), 0.01) == 0


def test_the_wanted_error_is_reached() -> None:
    (estimate,) = moments(estimate_point(Gamma(), {}, relative_error=0.005, seed=0))
    assert estimate.count > 1000
    # The pilot's 16 draws know a spread to 1/√30, so the error to about 20 %.
    assert 0.5 * 0.005 < error(estimate) < 2 * 0.005


def test_error_bars_cover_the_truth_at_the_stated_rate() -> None:
    runs = 400
    inside = 0
    for seed in range(runs):
        frame = estimate_point(Gamma(), {}, relative_error=0.1, seed=seed, draws=200)
        (estimate,) = moments(frame)
        inside += abs(estimate.rms / 2 - 1) < 1.96 * error(estimate)
    # Binomial: 95 % ± 3 standard deviations of 400 runs.
    assert abs(inside / runs - 0.95) < 3 * np.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("causal", [True, False])
def test_attention_moments_are_the_plain_monte_carlo(causal: bool) -> None:
    closed = estimate_point(
        AttentionMoments(causal=causal), ATTENTION_POINT, relative_error=1, seed=0, draws=400
    )
    plain = estimate_point(
        attention_by_autograd(causal=causal), ATTENTION_POINT, relative_error=1, seed=9, draws=1000
    )
    assert [r.kind for r in closed.records] == [r.kind for r in plain.records]
    for first, second in zip(moments(closed), moments(plain), strict=True):
        both = np.hypot(error(first), error(second))
        assert both < 0.015
        assert abs(first.rms / second.rms - 1) < 3.5 * both


def test_flat_attention_is_the_harmonic_limit() -> None:
    # Logits of standard deviation 1e-4: the mean square is H_s / s to 1e-8.
    point = {"seq_len": 128, "head_dim": 16, "alpha": 4e-4}
    output, _, _, value = estimate_point(
        AttentionMoments(causal=True), point, relative_error=1, seed=0, draws=2
    ).records
    assert output.rms == pytest.approx(np.sqrt(harmonic(128) / 128), rel=1e-5)
    assert value.rms == output.rms


@pytest.mark.parametrize("op", ["gated-silu", "silu", "gelu", "relu"])
def test_monte_carlo_agrees_with_quadrature_within_its_error_bars(op: str) -> None:
    grid = [{"alpha": 2.0**i} for i in range(-6, 7, 2)] if op != "relu" else [{}]
    sampler = BUILTIN_OPS[op].sampler
    deviations = [
        (record.rms / EXACT[op, record.kind](**frame.point) - 1) / error(estimate)
        for frame in estimate_grid(sampler, grid, relative_error=0.001, seed=4)
        for record, estimate in zip(frame.records, moments(frame), strict=True)
        if (op, record.kind) in EXACT
    ]
    judged = [quantity for quantity in sampler.quantities if quantity != "output (std)"]
    assert len(deviations) == len(grid) * len(judged)
    # 4σ over at most 21 values: chance alone fails this once in about 750 seeds.
    assert max(map(abs, deviations)) < 4.0


def test_a_value_that_is_not_finite_is_named() -> None:
    class Broken(Gamma):
        def draw(self, point: Point, seeds: Sequence[int], device: torch.device) -> MeanSquares:
            return np.full((len(seeds), 1), np.nan)

    with pytest.raises(InputError, match=r"output is NaN or infinite at alpha=0\.5"):
        estimate_point(Broken(), {"alpha": 0.5}, relative_error=0.1, seed=0)
