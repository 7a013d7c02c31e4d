"""The compiled loops equal the readable torch code, and sums of squares equal Python's integers."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from umup_diag.numerics import compiled_counting, counting
from umup_diag.numerics.histogram import CodeHistogram

N = 5 * 1024 + 7  # blocks, and a rest of no whole word


def random_bits() -> Tensor:
    """Every exponent, NaN, infinity and subnormals in each block."""
    bits = np.random.default_rng(0).integers(0, 1 << 32, N, dtype=np.uint64).astype(np.uint32)
    return torch.from_numpy(bits.view(np.float32))


def octaves(top: int, below: int) -> Tensor:
    """All 24 bits set, from 2**top down to so many octaves below, every block with each."""
    exponent = top - torch.arange(N) % (below + 1)
    return torch.ldexp(torch.full((N,), 2 - 2.0**-23), exponent)


CASES = {
    "random bits": random_bits(),
    "normal": torch.randn(N, generator=torch.Generator().manual_seed(0)),
    "just within what two additions hold": octaves(0, 27),
    "just beyond": octaves(0, 28),
    "up to the largest": octaves(127, 60),
    "down to the smallest": torch.ldexp(torch.arange(N).float() % 8 + 1, torch.tensor(-149)),
    "subnormal beside large": torch.tensor([1e-45, 3e38] * N)[:N],
    "one infinity": torch.cat((torch.rand(2000), torch.tensor([math.inf, -math.nan]))),
    "zeros": torch.zeros(N),
    "a single one": torch.tensor([-1.5]),
}


def squares(x: Tensor) -> int:
    """In units of 2**SQUARE_UNIT_LOG2, each element by itself."""
    total = 0
    for value in x[x.isfinite()].tolist():
        significand, exponent = math.frexp(value)
        total += int(significand * 2**24) ** 2 << 2 * (exponent - 24) - counting.SQUARE_UNIT_LOG2
    return total


@pytest.mark.parametrize("name", CASES)
def test_any_range_of_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = CASES[name]
    histogram = CodeHistogram.of(x)
    assert histogram.squares == squares(x)
    monkeypatch.setattr(counting, "can_compile", lambda _: False)
    assert CodeHistogram.of(x) == histogram


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("start", [0, 1])  # 1: no word of four elements begins where words do
def test_every_16_bit_code(dtype: torch.dtype, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16).view(dtype)[start:]
    histogram = CodeHistogram.of(x)
    assert histogram.squares == squares(x.float())
    monkeypatch.setattr(counting, "can_compile", lambda _: False)
    assert CodeHistogram.of(x) == histogram


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e5m2])
def test_nothing_of_one_tensor_is_left_for_the_next(dtype: torch.dtype) -> None:
    small = torch.tensor([0.5, 1.0]).to(dtype)
    before = CodeHistogram.of(small)
    for x in CASES.values():
        CodeHistogram.of(x.to(dtype))
        assert CodeHistogram.of(small) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e5m2])
def test_more_elements_than_a_counter_holds(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces, whose counts are added up as wide integers."""
    x = CASES["normal"].to(dtype)
    whole = CodeHistogram.of(x)
    monkeypatch.setattr(compiled_counting, "MOST", 1000)
    assert CodeHistogram.of(x) == whole


def test_threads_that_count_at_once() -> None:
    tensors = [torch.randn(50_000) * 2.0**-scale for scale in range(8)]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(CodeHistogram.of, tensors * 4))
    assert at_once == [CodeHistogram.of(x) for x in tensors] * 4
