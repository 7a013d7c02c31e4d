"""A histogram of a scaled tensor is the scaled histogram of the tensor."""

import pytest
import torch

from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.numerics.rescale import rescaled


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("power", [-16, -1, 0, 3])
def test_it_equals_counting_the_scaled_tensor(dtype: torch.dtype, power: int) -> None:
    x = torch.randn(999).to(dtype)
    wide = x.double() if dtype is torch.float64 else x.float()
    expected = CodeHistogram.of(wide * 2.0**power)
    found = rescaled(CodeHistogram.of(x), power)
    if dtype in (torch.float16, torch.bfloat16):  # every value is kept: bin as the wide type does
        assert found.coarsen(4) == expected.coarsen(4)
        assert found.rms == expected.rms
    else:
        assert found == expected


def test_below_the_smallest_normal_counts_and_rms_stay() -> None:
    x = torch.tensor([1.5 * 2.0**-120, 1.2345 * 2.0**-110, 0.0, float("nan"), float("inf")])
    found = rescaled(CodeHistogram.of(x), -30)
    assert (found.count, found.zeros, found.nan_count, found.inf_count) == (5, 1, 1, 1)
    exact = rescaled(CodeHistogram.of(x.double()), -30)
    assert found.rms == pytest.approx(CodeHistogram.of(x).rms * 2.0**-30)
    assert exact.finite_count == 3


def test_beyond_float32_is_refused() -> None:
    with pytest.raises(OverflowError):
        rescaled(CodeHistogram.of(torch.tensor([1.0])), 200)
