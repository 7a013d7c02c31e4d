"""Flags on either side of each threshold, and the scale that would help."""

import math

import pytest
import torch

from umup_diag.checks.fix import Cast, Fix, ScaleBeforeCast
from umup_diag.checks.fp8_range.format_fit import (
    Flag,
    explain,
    fit,
    flag_at,
    headroom_high,
    headroom_low,
    remedy,
    safe_scale_log2,
)
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.target_formats import Target, block_formats, resolve, target_formats
from umup_diag.errors import InputError
from umup_diag.numerics.formats import E4M3FN, E5M2
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind

DEFAULT = RangeSettings()


def weight(x: torch.Tensor) -> TensorRecord:
    return TensorRecord(tensor="t", kind=Kind.WEIGHT, statistics=CodeHistogram.of(x))


def test_the_same_tensor_may_want_the_other_format() -> None:
    large = weight(torch.full((64,), 1000.0))
    assert fit(large, Target(format="E4M3FN"), DEFAULT).flag is Flag.OVERFLOW
    assert fit(large, Target(format="E5M2"), DEFAULT).flag is Flag.OK


def test_thresholds_can_be_set() -> None:
    x = torch.ones(100)
    x[:5] = 2.0**-12
    assert fit(weight(x), Target(format="E4M3FN"), DEFAULT).flag is Flag.OK
    assert (
        fit(weight(x), Target(format="E4M3FN"), RangeSettings(underflow=0.04)).flag
        is Flag.UNDERFLOW
    )
    high = weight(torch.full((8,), 100.0))
    assert fit(high, Target(format="E4M3FN"), DEFAULT).flag is Flag.OK
    assert fit(high, Target(format="E4M3FN"), RangeSettings(near=3)).flag is Flag.NEAR_MAX


def test_headrooms_are_octaves_from_the_limits() -> None:
    assert headroom_high(448.0, E4M3FN) == 0
    assert headroom_high(56.0, E4M3FN) == 3
    assert headroom_low(2.0**-6, E4M3FN) == 0
    assert headroom_low(1.0, E5M2) == 14
    assert headroom_high(0.0, E4M3FN) == math.inf
    assert math.isnan(headroom_low(0.0, E4M3FN))


def test_the_safe_scale_fits_and_twice_as_much_does_not_leave_the_margin() -> None:
    histogram = CodeHistogram.of(torch.randn(10_000) * 2.0**-20)
    assert flag_at(histogram, E4M3FN, DEFAULT) is Flag.UNDERFLOW
    scale = safe_scale_log2(histogram, E4M3FN, DEFAULT)
    assert scale is not None
    assert flag_at(histogram, E4M3FN, DEFAULT, scale) is Flag.OK
    assert flag_at(histogram, E4M3FN, DEFAULT, scale + 1) is Flag.NEAR_MAX


def test_no_scale_helps_a_tensor_that_spans_too_much() -> None:
    wide = CodeHistogram.of(2.0 ** torch.linspace(-30, 8, 1000))
    assert safe_scale_log2(wide, E4M3FN, DEFAULT) is None
    assert safe_scale_log2(CodeHistogram.of(torch.zeros(4)), E4M3FN, DEFAULT) is None


def test_the_best_scale_and_what_it_buys() -> None:
    found = fit(weight(torch.randn(10_000) * 2.0**-10), Target(format="E4M3FN"), DEFAULT)
    assert found.best_scale_log2 is not None
    assert found.best_scale_log2 >= 8
    assert found.best_sqnr_db > found.sqnr_db + 10
    assert fit(weight(torch.randn(10_000)), Target(format="E5M2"), DEFAULT).best_scale_log2 == 0


def test_a_remedy_takes_the_safe_scale_and_not_the_best() -> None:
    """The best scale uses the margin up."""
    x = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * 2.0**-14
    x[0] = 2.0**-9
    small = weight(x)
    held_to, other = (fit(small, Target(format=name), DEFAULT) for name in ("E4M3FN", "E5M2"))
    safe = safe_scale_log2(small.histogram, E4M3FN, DEFAULT)
    assert safe is not None
    assert (safe, held_to.best_scale_log2) == (16, 17)
    assert remedy(small, held_to, [other], DEFAULT) == Fix(
        tensor="t", steps=(ScaleBeforeCast(log2=safe),), is_choice=True
    )
    large = weight(torch.full((64,), 1000.0))
    held_to, other = (fit(large, Target(format=name), DEFAULT) for name in ("E4M3FN", "E5M2"))
    assert remedy(large, held_to, [other], DEFAULT) == Fix(
        tensor="t", steps=(Cast(to="E5M2"), ScaleBeforeCast(log2=-3)), is_choice=True
    )
    assert remedy(large, other, [], DEFAULT) is None


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
    cause = explain(weight(x), fit(weight(x), Target(format="E4M3FN"), DEFAULT), DEFAULT)
    assert cause is not None
    assert words in cause


def test_names_of_formats() -> None:
    assert resolve("e4m3") == "E4M3FN"
    assert resolve(" mxfp8 ") == "MXFP8_E4M3"
    assert resolve("mxfp4") == "MXFP4"
    for wrong in ("mxfp9", "nvfp5", "e9m9"):
        with pytest.raises(InputError):
            resolve(wrong)


def test_a_list_of_formats_is_for_every_kind() -> None:
    listed = "e5m2,mxfp8,e5m2"
    assert target_formats(Kind.WEIGHT, listed) == ("E5M2", "MXFP8_E4M3")
    assert target_formats(Kind.GRAD_OUTPUT, listed) == ("E5M2", "MXFP8_E4M3")
    assert block_formats(RangeSettings(formats=listed)) == ("MXFP8_E4M3",)
    assert target_formats(Kind.GRAD_OUTPUT, None) == ("E5M2", "E4M3FN")
    assert block_formats(RangeSettings()) == ()


def test_a_recording_has_no_blocks() -> None:
    with pytest.raises(InputError, match=r"(?s)has none of them.*--blocks mxfp8_e4m3"):
        fit(weight(torch.ones(4)), Target(format="MXFP8_E4M3"), DEFAULT)
