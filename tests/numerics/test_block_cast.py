"""Block casts against the quantiser of the numerics room."""

import pytest
import torch

from umup_diag.numerics.block import SELF_SCALED, BlockCast, quantize_block


@pytest.mark.parametrize("name", SELF_SCALED)
@pytest.mark.parametrize("width", [32, 70])
def test_noise_and_flushed_elements_are_those_of_the_quantiser(name: str, width: int) -> None:
    fmt = SELF_SCALED[name]
    x = torch.randn(40, width) * 2.0 ** torch.randint(-12, 12, (40, width))
    cast = quantize_block(x, fmt)
    found = BlockCast.of(x.split(7), fmt)
    assert found.noise == pytest.approx(float((x.double() - cast).square().sum()), rel=1e-12)
    flushed = float(((cast == 0) & (x != 0)).double().mean())
    assert found.scaled.underflow_fraction(fmt.element) == pytest.approx(flushed, abs=1e-12)
    assert found.scaled.count == x.numel()


def test_a_small_neighbour_of_a_large_element_is_flushed() -> None:
    fmt = SELF_SCALED["MXFP8_E4M3"]
    alone = torch.full((1, 32), 2.0**-12)
    beside = alone.clone()
    beside[0, 0] = 256.0
    assert BlockCast.of([alone], fmt).scaled.underflow_fraction(fmt.element) == 0.0
    assert BlockCast.of([beside], fmt).scaled.underflow_fraction(fmt.element) == 31 / 32


def test_non_finite_elements_are_left_out_of_scale_and_noise() -> None:
    fmt = SELF_SCALED["MXFP8_E4M3"]
    x = torch.ones(1, 32)
    x[0, 3], x[0, 4] = float("inf"), float("nan")
    assert BlockCast.of([x], fmt).noise == 0.0
