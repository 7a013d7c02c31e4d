"""Flags on either side of each threshold, and the scale that would help."""

import math

import pytest
import torch

from umup_diag.checks.fp8_range.format_fit import (
    Flag,
    Limits,
    best_scale,
    explain,
    fit,
    flag_at,
    headroom_high,
    headroom_low,
    resolve,
    safe_scale,
)
from umup_diag.errors import InputError
from umup_diag.measure.snapshot import TensorHistogram
from umup_diag.numerics.formats import E4M3FN, E5M2, Format
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind


def seen(x: torch.Tensor) -> TensorHistogram:
    return TensorHistogram(tensor="t", kind=Kind.WEIGHT, order=0, histogram=CodeHistogram.of(x))


def test_the_same_tensor_may_want_the_other_format() -> None:
    large = seen(torch.full((64,), 1000.0))
    assert fit(large, "E4M3FN", Limits()).flag is Flag.OVERFLOW
    assert fit(large, "E5M2", Limits()).flag is Flag.OK


def test_thresholds_can_be_set() -> None:
    x = torch.ones(100)
    x[:5] = 2.0**-12
    assert fit(seen(x), "E4M3FN", Limits()).flag is Flag.OK
    assert fit(seen(x), "E4M3FN", Limits(underflow_fraction=0.04)).flag is Flag.UNDERFLOW
    assert fit(seen(torch.full((8,), 100.0)), "E4M3FN", Limits()).flag is Flag.OK
    assert fit(seen(torch.full((8,), 100.0)), "E4M3FN", Limits(near_max_octaves=3)).flag is (
        Flag.NEAR_MAX
    )


def test_headrooms_are_octaves_from_the_limits() -> None:
    assert headroom_high(448.0, E4M3FN) == 0
    assert headroom_high(56.0, E4M3FN) == 3
    assert headroom_low(2.0**-6, E4M3FN) == 0
    assert headroom_low(1.0, E5M2) == 14
    assert headroom_high(0.0, E4M3FN) == math.inf
    assert math.isnan(headroom_low(0.0, E4M3FN))


def test_the_safe_scale_fits_and_twice_as_much_does_not_leave_the_margin() -> None:
    histogram = CodeHistogram.of(torch.randn(10_000) * 2.0**-20)
    limits = Limits()
    assert flag_at(histogram, E4M3FN, limits, 0) is Flag.UNDERFLOW
    scale = safe_scale(histogram, E4M3FN, limits)
    assert scale is not None
    assert flag_at(histogram, E4M3FN, limits, scale) is Flag.OK
    assert flag_at(histogram, E4M3FN, limits, scale + 1) is Flag.NEAR_MAX


def test_no_scale_helps_a_tensor_that_spans_too_much() -> None:
    wide = CodeHistogram.of(2.0 ** torch.linspace(-30, 8, 1000))
    assert safe_scale(wide, E4M3FN, Limits()) is None
    assert safe_scale(CodeHistogram.of(torch.zeros(4)), E4M3FN, Limits()) is None


def test_the_best_scale_and_what_it_buys() -> None:
    found = fit(seen(torch.randn(10_000) * 2.0**-10), "E4M3FN", Limits())
    assert found.best_scale_log2 is not None
    assert found.best_scale_log2 >= 8
    assert found.best_sqnr_db > found.sqnr_db + 10
    assert fit(seen(torch.randn(10_000)), "E5M2", Limits()).best_scale_log2 == 0


@pytest.mark.parametrize("fmt", [E4M3FN, E5M2])
@pytest.mark.parametrize("seed", range(12))
def test_the_quick_search_finds_a_scale_as_good_as_any(fmt: Format, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    size = 2.0 ** float(torch.randint(-30, 20, (), generator=random))
    spread = torch.randn(3000, generator=random) * (seed % 4)
    x = torch.randn(3000, generator=random) * size * torch.exp(spread)
    histogram = CodeHistogram.of(x.bfloat16())
    coarse = histogram.coarsen()
    best, quick = coarse.best_scale_log2(fmt), best_scale(histogram, fmt)
    assert coarse.sqnr_db(fmt, quick) > coarse.sqnr_db(fmt, best) - 0.01
    assert abs(quick) <= abs(best) + 1


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.tensor([1.0, 500.0]), "absmax 500 is beyond"),
        (torch.tensor([1.0, 2.0**-11]), "50.0% of its non-zero elements become zero"),
        (torch.tensor([1.0, 400.0]), "octaves from the largest E4M3FN"),
        (torch.tensor([2.0**-6, -(2.0**-6)]), "0.00 octaves above the smallest normal"),
        (torch.tensor([2.0**-8] * 9 + [1.0]), "90.0% of its non-zero elements become subnormal"),
        (torch.tensor([1.0, math.inf]), "1 elements are NaN or infinite"),
    ],
)
def test_every_flag_is_explained_with_its_number(x: torch.Tensor, words: str) -> None:
    found = fit(seen(x), "E4M3FN", Limits())
    said = explain(found.flag, seen(x), found, Limits())
    assert said is not None
    assert words in said


def test_names_of_formats() -> None:
    assert resolve("e4m3") == "E4M3FN"
    assert resolve(" mxfp8 ") == "MXFP8_E4M3"
    assert resolve("mxfp4") == "MXFP4"
    for wrong in ("mxfp9", "nvfp4", "e9m9"):
        with pytest.raises(InputError):
            resolve(wrong)


def test_a_recording_has_no_blocks() -> None:
    with pytest.raises(InputError, match="does not keep blocks"):
        fit(seen(torch.ones(4)), "MXFP8_E4M3", Limits())
