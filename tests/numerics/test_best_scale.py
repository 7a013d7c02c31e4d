"""The search for the best scale finds what trying every scale finds."""

import math

import pytest
import torch

from umup_diag.numerics import formats
from umup_diag.numerics.formats import Format
from umup_diag.numerics.histogram import CodeHistogram

FORMATS = [formats.E4M3FN, formats.E5M2, formats.E4M3FNUZ, formats.E3M4, formats.E2M3]
FORMATS += [formats.E2M1, formats.FP16, formats.BF16]
EVERY = range(-70, 71)


def draws(seed: int) -> torch.Tensor:
    """From one size of all elements to a spread over tens of octaves."""
    random = torch.Generator().manual_seed(seed)
    size = math.ldexp(1.0, int(torch.randint(-30, 20, (), generator=random)))
    spread = torch.randn(500, generator=random) * (seed % 4)
    if seed % 3 == 0:
        return size * torch.exp2(spread.round())  # exact in every format, if no element is flushed
    return torch.randn(500, generator=random) * size * torch.exp(spread)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("seed", range(6))
def test_the_search_equals_trying_every_scale(fmt: Format, seed: int) -> None:
    histogram = CodeHistogram.of(draws(seed).to(torch.bfloat16 if seed % 2 else torch.float32))
    if seed > 3:
        histogram = histogram.coarsen()
    best = max(EVERY, key=lambda scale: (histogram.sqnr_db(fmt, scale), -abs(scale)))
    assert histogram.best_scale_log2(fmt) == best


def test_extremes_end_the_search() -> None:
    for x in (torch.tensor([1e-45, 3e38]), torch.tensor([5e-324, 1e300], dtype=torch.float64)):
        for fmt in (*FORMATS, formats.E8M0):
            assert abs(CodeHistogram.of(x).best_scale_log2(fmt)) < 400
