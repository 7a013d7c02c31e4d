"""A sample stands for its weight to the precision that it states."""

import pytest
import torch
from torch import nn

from umup_diag.errors import InputError
from umup_diag.measure.recorder import Recorder
from umup_diag.measure.sampled_weight import RUN, RUNS, SampledWeight
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind

LARGE = (512, 640)


def standardised_errors(weights: list[torch.Tensor]) -> torch.Tensor:
    """Of the sample's RMS, in units of the error that it states."""
    errors = []
    for weight in weights:
        sampled = SampledWeight.drawn(weight)
        assert sampled is not None
        ratio = CodeHistogram.of(sampled.elements).rms / CodeHistogram.of(weight).rms
        errors.append((ratio - 1) / sampled.about.relative_error)
    return torch.tensor(errors, dtype=torch.float64)


@pytest.mark.parametrize("rows", ["alike", "of very different scales"])
def test_the_stated_error_is_the_error(rows: str) -> None:
    """The mean square of 60 standardised errors lies within 3 σ of 1, where σ = √(2/60) = 0.18.

    The sample is a fifth of the weight and drawn part by part, which makes errors smaller than
    stated, never larger: by √(4/5), and by as much as the parts differ among each other.
    """
    torch.manual_seed(0)
    scale = torch.ones(LARGE[0], 1)
    if rows != "alike":
        scale = torch.exp(torch.randn(LARGE[0], 1))
    errors = standardised_errors([torch.randn(LARGE) * scale for _ in range(60)])
    assert errors.square().mean() < 1 + 3 * (2 / 60) ** 0.5
    if rows == "alike":
        assert errors.square().mean() > 0.8 - 3 * 0.8 * (2 / 60) ** 0.5


def test_a_gaussian_weight_is_known_as_well_as_by_as_many_single_draws() -> None:
    sampled = SampledWeight.drawn(torch.randn(LARGE))
    assert sampled is not None
    assert sampled.about.elements == LARGE[0] * LARGE[1]
    # √((κ − 1) / 4N) with κ = 3; the variance is itself known from 4096 runs: to 3 / √(2 · 4096)
    assert sampled.about.relative_error == pytest.approx((2 / 4 / RUNS / RUN) ** 0.5, rel=0.034)


def test_it_is_the_same_each_time_and_spread_evenly() -> None:
    weight = torch.arange(LARGE[0] * LARGE[1]).float().view(LARGE)
    first, again = SampledWeight.drawn(weight), SampledWeight.drawn(weight + 0)
    assert first is not None
    assert again is not None
    assert torch.equal(first.elements, again.elements)
    part = (first.elements[:, 0] / weight.numel() * RUNS).long()
    assert int((part - torch.arange(RUNS)).abs().max()) <= 1  # a run may begin in the part before


@pytest.mark.parametrize(
    "weight",
    [torch.randn(256, 256), torch.randn(LARGE).T, torch.randn(4 * RUNS * RUN - 1)],
    ids=["small", "transposed", "almost large"],
)
def test_what_is_counted_whole(weight: torch.Tensor) -> None:
    assert SampledWeight.drawn(weight) is None


def test_the_recorder_says_what_it_sampled() -> None:
    last = nn.Linear(LARGE[0], 8)
    model = nn.Sequential(nn.Linear(LARGE[1], LARGE[0]), last)
    recorder = Recorder(model, sample_weights=True)
    with recorder.step():
        model(torch.randn(4, LARGE[1])).sum().backward()
    records = {(each.tensor, each.kind): each for each in recorder.take()}
    large, small = records["0", Kind.WEIGHT], records["1", Kind.WEIGHT]
    assert large.histogram.count == RUNS * RUN
    assert large.sample is not None
    assert large.sample.elements == LARGE[0] * LARGE[1]
    assert TensorRecord.decode(large.encode()).sample == large.sample
    assert small.histogram == CodeHistogram.of(last.weight)
    assert small.sample is None
    assert records["0", Kind.INPUT].sample is None


def test_a_sample_has_no_blocks() -> None:
    with pytest.raises(InputError, match="no whole blocks"):
        Recorder(nn.Linear(4, 4), blocks=["mxfp8"], sample_weights=True)
