"""A run that is judged while it goes on: who is warned of, when, and how often."""

import numpy as np
import torch
from torch import Tensor

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.watcher import MOST_POINTS, Warned, Watcher, lines
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, TensorRecord

NORMAL = torch.randn(256, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)


def frame(step: int, **tensors: Tensor) -> Frame:
    records = tuple(
        TensorRecord(
            tensor=name.replace("_", "."), kind="weight", statistics=CodeHistogram.of(values)
        )
        for name, values in tensors.items()
    )
    return Frame(step=step, records=records)


def watched(watcher: Watcher, *frames: Frame) -> list[tuple[int | None, Warned]]:
    return [(each.step, warning) for each in frames for warning in watcher.see(each)]


def test_near_is_said_once_and_beyond_once_more() -> None:
    sizes = [1.0, 100.0, 100.0, 110.0, 500.0, 1000.0, 1.0, 1000.0]
    watcher = Watcher()
    said = watched(watcher, *(frame(at, w=NORMAL * size) for at, size in enumerate(sizes)))
    assert [(step, warning.fails) for step, warning in said] == [(1, False), (4, True)]
    assert "near max in E4M3FN" in said[0][1].reason
    assert "overflow in E4M3FN" in said[1][1].reason
    assert watcher.fails


def test_zeros_are_nothing_to_warn_of() -> None:
    watcher = Watcher()
    assert not watched(watcher, *(frame(at, w=NORMAL * 0.0) for at in range(5)))
    assert not watcher.fails


def test_a_tensor_that_is_growing_is_announced_before_it_is_near() -> None:
    frames = [frame(100 * at, w=NORMAL * 2.0 ** (at / 8)) for at in range(60)]
    (step, first), *later = watched(Watcher(), *frames)
    true_crossing = 100 * 8 * np.log2(464 / float(NORMAL.abs().max()))
    assert step is not None
    assert step < true_crossing / 2
    assert "reaches the largest value at step" in first.reason
    assert not first.fails
    assert [warning.fails for _, warning in later] == [True]


def test_noise_alone_is_not_announced_however_often_one_looks() -> None:
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(20):
        watcher = Watcher(settings=RangeSettings(horizon=100_000))
        frames = (frame(at, w=NORMAL * 2.0 ** random.normal(0, 0.2)) for at in range(24))
        alarms += bool(watched(watcher, *frames))
    # 5 % each, all looks together: more than 5 of 20 has a probability below 0.1 %
    assert alarms <= 5


def test_points_are_thinned_and_the_trend_is_still_found() -> None:
    watcher = Watcher()
    for at in range(300):
        watcher.see(frame(at, w=NORMAL * 2.0 ** (at / 1200)))
    (points,) = watcher._points.values()
    assert len(points) <= MOST_POINTS
    assert (points[0][0], points[-1][0]) == (0, 299)


def test_only_the_tensors_that_are_included_are_watched() -> None:
    watcher = Watcher(settings=RangeSettings(include=("a",)))
    said = watched(watcher, frame(0, a=NORMAL * 1000, b=NORMAL * 1000))
    assert [warning.tensor for _, warning in said] == ["a"]
    assert watched(watcher, frame(1, b=NORMAL * 1000)) == []


def test_tensors_that_layers_have_alike_share_a_line() -> None:
    big = NORMAL * 1000
    warnings = Watcher().see(frame(7, layers_0_q=big, layers_1_q=big, head=big))
    said = lines(7, warnings)
    assert len(said) == 2
    assert said[0].startswith("step 7: layers.*.q (weight, 2 tensors) overflow in E4M3FN: absmax")
    assert said[1].startswith("step 7: head (weight) overflow in E4M3FN: absmax")
