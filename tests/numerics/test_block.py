"""Block formats against gfloat, and against their definitions."""

import gfloat
import gfloat.formats
import numpy as np
import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.numerics import block
from umup_diag.numerics.block import BlockFormat, quantize_block
from umup_diag.numerics.formats import E2M1, E4M3FN, E8M0
from umup_diag.numerics.quantize import quantize

GFLOAT = {
    "MXFP8_E4M3": gfloat.formats.format_info_mxfp8_e4m3,
    "MXFP8_E5M2": gfloat.formats.format_info_mxfp8_e5m2,
    "MXFP6_E2M3": gfloat.formats.format_info_mxfp6_e2m3,
    "MXFP6_E3M2": gfloat.formats.format_info_mxfp6_e3m2,
    "MXFP4": gfloat.formats.format_info_mxfp4_e2m1,
}


@pytest.mark.parametrize("name", GFLOAT)
@pytest.mark.parametrize("exponent", [-100, -6, 0, 30])
def test_mx_equals_gfloat(name: str, exponent: int) -> None:
    x = torch.randn(40, 32) * torch.randn(40, 32).exp2() * 2.0**exponent
    got = quantize_block(x, block.BLOCK_FORMATS[name])
    for row, ours in zip(x.double().numpy(), got.double().numpy(), strict=True):
        theirs = gfloat.quantize_block(GFLOAT[name], row, gfloat.compute_scale_amax)
        np.testing.assert_array_equal(ours, theirs)


def test_every_mx_format_is_tested() -> None:
    assert set(GFLOAT) | {"NVFP4"} == set(block.BLOCK_FORMATS)


def test_nvfp4_by_hand() -> None:
    x = torch.zeros(2, 32)
    x[0, :3] = torch.tensor([2688.0, 100.0, 3000.0])
    x[0, 16:19] = torch.tensor([6.0, 2.4, 0.2])
    scale = np.float64(np.float32(3000 / 2688))
    first = float(quantize(torch.tensor(500 / scale, dtype=torch.float64), E4M3FN)) * scale
    second = float(quantize(torch.tensor(1 / scale, dtype=torch.float64), E4M3FN)) * scale
    want = np.zeros((2, 32))
    want[0, :3] = np.array([6, 0, 6]) * first
    want[0, 16:19] = np.array([6, 2, 0]) * second
    np.testing.assert_array_equal(quantize_block(x, block.NVFP4).numpy(), want.astype(np.float32))


def test_blocks_run_along_the_dimension_and_the_last_may_be_shorter() -> None:
    x = torch.randn(3, 50, 4) * 100
    whole = quantize_block(x, block.MXFP4, dim=1)
    assert whole.shape == x.shape
    assert torch.equal(whole[:, :32], quantize_block(x[:, :32], block.MXFP4, dim=1))
    assert torch.equal(whole[:, 32:], quantize_block(x[:, 32:], block.MXFP4, dim=-2))
    rows = quantize_block(x.movedim(1, -1).contiguous(), block.MXFP4)
    assert torch.equal(whole, rows.movedim(-1, 1))


@pytest.mark.parametrize("fmt", block.BLOCK_FORMATS.values(), ids=lambda fmt: fmt.name)
def test_zeros_empties_and_non_finite_elements(fmt: BlockFormat) -> None:
    assert torch.equal(quantize_block(torch.zeros(64), fmt), torch.zeros(64))
    assert quantize_block(torch.empty(3, 0), fmt).shape == (3, 0)
    x = torch.ones(32)
    x[1], x[2] = torch.nan, -torch.inf
    got = quantize_block(x, fmt)
    assert got[1].isnan()
    assert got[2] < 0
    assert got[2].isfinite()
    torch.testing.assert_close(got[3:], torch.ones(29), rtol=2**-23, atol=0)


def test_dtypes() -> None:
    for dtype, result in ((torch.float64, torch.float64), (torch.float16, torch.float32)):
        assert quantize_block(torch.ones(3, dtype=dtype), block.MXFP4).dtype is result


def test_stochastic_rounding_stays_between_neighbours_and_is_unbiased() -> None:
    x = torch.full((1000, 32), 1.3)
    x[:, 0] = 6.0  # fixes the scale at 1
    got = quantize_block(
        x, block.MXFP4, rounding="stochastic", generator=torch.Generator().manual_seed(1)
    )[:, 1:]
    assert set(torch.unique(got).tolist()) == {1.0, 1.5}
    share, count = 0.6, got.numel()
    mean = (got.double().mean().item() - 1) / 0.5
    assert abs(mean - share) <= 3 * (share * (1 - share) / count) ** 0.5 + 1e-6


def test_bad_input_is_one_clear_error() -> None:
    with pytest.raises(InputError, match=r"cannot quantize torch\.int64"):
        quantize_block(torch.arange(3), block.MXFP4)
    with pytest.raises(InputError, match="no dimension 2 in a tensor of shape"):
        quantize_block(torch.ones(3, 4), block.MXFP4, dim=2)
    with pytest.raises(InputError, match="no dimension -1"):
        quantize_block(torch.tensor(1.0), block.MXFP4)
    with pytest.raises(InputError, match="a block of 0 elements"):
        BlockFormat(name="mine", element=E2M1, scale=E8M0, block=0)
