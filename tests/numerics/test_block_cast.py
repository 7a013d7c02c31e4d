"""Block casts against the quantiser of the numerics room."""

import pytest
import torch

from umup_diag.numerics.block import BLOCK_FORMATS, quantize_block
from umup_diag.numerics.block_cast import BlockCast


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@pytest.mark.parametrize("width", [32, 70])
def test_noise_and_flushed_elements_are_those_of_the_quantiser(name: str, width: int) -> None:
    fmt = BLOCK_FORMATS[name]
    x = torch.randn(40, width) * 2.0 ** torch.randint(-12, 12, (40, width))
    cast = quantize_block(x.double(), fmt)
    found = BlockCast.of(x.split(7), fmt, absmax=float(x.abs().max()))
    assert found.noise == pytest.approx(float((x.double() - cast).square().sum()), rel=1e-12)
    flushed = float(((cast == 0) & (x != 0)).double().mean())
    assert found.scaled.underflow_fraction(fmt.element) == pytest.approx(flushed, abs=1e-12)
    assert found.scaled.count == x.numel()


def test_a_small_neighbour_of_a_large_element_is_flushed() -> None:
    fmt = BLOCK_FORMATS["MXFP8_E4M3"]
    alone = torch.full((1, 32), 2.0**-12)
    beside = alone.clone()
    beside[0, 0] = 256.0
    assert BlockCast.of([alone], fmt).scaled.underflow_fraction(fmt.element) == 0.0
    assert BlockCast.of([beside], fmt).scaled.underflow_fraction(fmt.element) == 31 / 32


def test_non_finite_elements_are_left_out_of_scale_and_noise() -> None:
    fmt = BLOCK_FORMATS["MXFP8_E4M3"]
    x = torch.ones(1, 32)
    x[0, 3], x[0, 4] = float("inf"), float("nan")
    assert BlockCast.of([x], fmt).noise == 0.0


def test_blocks_are_counted_by_what_they_lose() -> None:
    fmt = BLOCK_FORMATS["MXFP4"]
    x = torch.zeros(4, 32)
    x[0] = 1.0  # loses nothing
    x[1, 0], x[1, 1] = 6.0, 0.1  # loses an element
    x[2, 5] = 2.0**-3  # one element, which sets its own scale
    found = BlockCast.of([x], fmt)  # the last has nothing to lose
    assert (found.blocks, found.underflowing, found.lost) == (3, 1, 0)
    assert found.scales.absmax == 1.0
    assert found.scales.smallest_nonzero == 2.0**-5


def test_a_block_whose_scale_underflows_is_lost_with_all_its_elements() -> None:
    fmt = BLOCK_FORMATS["NVFP4"]
    x = torch.full((2, 16), 2.0**-16)
    x[1] = 6.0 * 448.0  # the tensor scale is then 1, and the first block's 2^-16 / 6 is no E4M3
    found = BlockCast.of([x], fmt)
    assert (found.blocks, found.underflowing, found.lost) == (2, 1, 1)
    assert found.scaled.underflow_fraction(fmt.element) == 0.5
    alone = BlockCast.of([x[:1]], fmt)
    assert (alone.underflowing, alone.lost) == (0, 0)
    part = BlockCast.of([x[:1]], fmt, absmax=6.0 * 448.0)
    assert (part.underflowing, part.lost) == (1, 1)


def test_casts_add_and_are_written_and_read() -> None:
    fmt = BLOCK_FORMATS["NVFP4"]
    x = torch.randn(8, 64)
    parts = [BlockCast.of([part], fmt, absmax=float(x.abs().max())) for part in x.split(3)]
    whole = BlockCast.of([x], fmt)
    added = parts[0] + parts[1] + parts[2]
    assert (added.scaled, added.scales) == (whole.scaled, whole.scales)
    assert (added.underflowing, added.lost) == (whole.underflowing, whole.lost)
    read = BlockCast.decode(whole.encode())
    assert (read.noise, read.underflowing, read.blocks) == (
        whole.noise,
        whole.underflowing,
        whole.blocks,
    )
    assert read.scaled.underflow_fraction(fmt.element) == whole.scaled.underflow_fraction(
        fmt.element
    )
