import pytest
import torch

from umup_diag.measure.weight_sample import SAMPLE, WeightSample


def test_a_small_weight_is_kept_whole() -> None:
    weight = torch.randn(100, 50)
    sample = WeightSample.of(weight)
    assert torch.equal(sample.change(weight + 1), weight + 1 - weight)


@pytest.mark.parametrize(("share", "kurtosis"), [(1.0, 3.0), (1 / 16, 48.0)])
def test_a_large_one_is_known_to_the_stated_precision(share: float, kurtosis: float) -> None:
    weight = torch.zeros(2048, 1024)
    sample = WeightSample.of(weight)
    moved = torch.randn(2048, 1024) * (torch.rand(2048, 1024) < share)
    measured = sample.change(moved).square().mean().sqrt().item()
    exact = moved.square().mean().sqrt().item()
    sigma = ((kurtosis - 1) / (4 * SAMPLE)) ** 0.5
    assert abs(measured / exact - 1) < 4 * sigma


def test_the_sample_is_the_same_each_time() -> None:
    weight = torch.randn(1024, 1024)
    assert torch.equal(WeightSample.of(weight).values, WeightSample.of(weight).values)
