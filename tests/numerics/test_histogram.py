"""The histogram equals brute force, and adds up exactly."""

import json
import math
from base64 import b64decode, b85encode
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from umup_diag.errors import InputError
from umup_diag.numerics import counting, formats
from umup_diag.numerics.formats import Format
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.numerics.quantize import quantize

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn]
DTYPES += [torch.float8_e5m2]
NARROW = [formats.E4M3FN, formats.E5M2, formats.E4M3FNUZ, formats.E5M2FNUZ, formats.E4M3_IEEE]
NARROW += [formats.E3M4, formats.E2M3, formats.E3M2, formats.E2M1]
SPECIALS = [0.0, -0.0, math.nan, math.inf, -math.inf, 464.0, 464.0000305, 2.0**-10, 2.0**-133]
SPECIALS += [61440.0, 448.0, 2.0**-6, 1e-45, 5e-324, 1e300, 3.4028234663852886e38, 65504.0]

HALF = settings(max_examples=settings().max_examples // 2)  # of what the profile asks for

elements = st.one_of(
    st.sampled_from(SPECIALS),
    st.floats(width=32),
    st.floats(width=16),
    st.floats(),
    st.floats(-500, 500),
    st.floats(2.0**-12, 2.0**-5),
)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Any dtype, length (0 and 0-d too), stride and mixture of ordinary and special elements."""
    dtype = draw(st.sampled_from(DTYPES))
    flat = torch.tensor(draw(st.lists(elements, max_size=40)), dtype=torch.float64).to(dtype)
    shape = draw(st.sampled_from(["flat", "0-d", "strided", "expanded", "transposed"]))
    if shape == "0-d" and len(flat):
        return flat[0]
    if shape == "strided":
        return flat[::2]
    if shape == "expanded":
        return flat[:, None].expand(len(flat), 3)
    if shape == "transposed" and len(flat) % 2 == 0:
        return flat.view(2, -1).T
    return flat


def finite(x: Tensor) -> Tensor:
    wide = x.double().reshape(-1)
    return wide[wide.isfinite()]


def within_float32(x: Tensor) -> bool:
    """The range in which counts for scaled thresholds are promised to be exact."""
    magnitudes = finite(x).abs()
    magnitudes = magnitudes[magnitudes > 0]
    return bool(((magnitudes >= 2.0**-100) & (magnitudes < 2.0**128)).all())


def is_nearest_root(root: float, square: Fraction) -> bool:
    """Whether no other float64 is nearer to √square: it lies between the midpoints around root."""
    below = (Fraction(root) + Fraction(math.nextafter(root, 0))) / 2
    above = Fraction(root) + Fraction(math.ulp(root)) / 2
    return below**2 <= square <= above**2


@given(tensors())
@example(torch.tensor([2.2251e-313], dtype=torch.float64))  # subnormal: fewer bits to round to
@example(torch.tensor([5e-324, 0.0, 2.5e-323], dtype=torch.float64))
def test_counts_extremes_and_rms_equal_brute_force(x: Tensor) -> None:
    histogram, wide, values = CodeHistogram.of(x), x.double(), finite(x)
    assert histogram.count == x.numel()
    assert histogram.nan_count == int(wide.isnan().sum())
    assert histogram.inf_count == int(wide.isinf().sum())
    assert histogram.nonfinite_count == histogram.nan_count + histogram.inf_count
    assert histogram.zeros == int((wide == 0).sum())
    exact = sum((Fraction(v) ** 2 for v in values.tolist()), start=Fraction(0))
    assert histogram.squares * Fraction(2) ** counting.SQUARE_UNIT_LOG2 == exact
    nonzero = values[values != 0].abs()
    if len(values):
        assert histogram.absmax == values.abs().max().item()
        assert is_nearest_root(histogram.rms, exact / len(values))
    else:
        assert math.isnan(histogram.absmax)
        assert math.isnan(histogram.rms)
    if len(nonzero):
        assert histogram.smallest_nonzero == nonzero.min().item()
    else:
        assert math.isnan(histogram.smallest_nonzero)


def brute_shares(values: Tensor, fmt: Format, scale_log2: int) -> tuple[float, float, float]:
    """Underflow, subnormal and overflow fractions, element by element."""
    nonzero = values[values != 0].abs() * 2.0**scale_log2
    cast = quantize(nonzero, fmt)
    over = nonzero > fmt.overflow_threshold
    if fmt.threshold_overflows:
        over |= nonzero == fmt.overflow_threshold
    subnormal = (cast > 0) & (cast < fmt.min_normal)
    count = max(len(nonzero), 1)
    flushed, below, beyond = ((cast == 0).sum(), subnormal.sum(), over.sum())
    return int(flushed) / count, int(below) / count, int(beyond) / count


@given(tensors().filter(within_float32), st.sampled_from(NARROW), st.integers(-20, 20))
def test_fractions_equal_brute_force_in_any_format_at_any_scale(
    x: Tensor, fmt: Format, scale_log2: int
) -> None:
    histogram = CodeHistogram.of(x)
    got = (
        histogram.underflow_fraction(fmt, scale_log2),
        histogram.subnormal_fraction(fmt, scale_log2),
        histogram.overflow_fraction(fmt, scale_log2),
    )
    assert got == brute_shares(finite(x), fmt, scale_log2)


@pytest.mark.parametrize("scale_log2", [0, 5, -7])
@pytest.mark.parametrize("fmt", NARROW, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_thresholds_inside_a_bin_are_counted_exactly(
    dtype: torch.dtype, fmt: Format, scale_log2: int
) -> None:
    """At each threshold and one float32 to either side of it: 464 is not 464.00003."""
    almost_normal = fmt.min_normal - fmt.smallest_subnormal / 2
    thresholds = torch.tensor(
        [fmt.flush_threshold, almost_normal, fmt.min_normal, fmt.overflow_threshold]
    )
    for side in (0.0, math.inf):
        x = torch.nextafter(thresholds, torch.tensor(side)) * 2.0**-scale_log2
        for part in (x, x[-1:], x[:1], thresholds * 2.0**-scale_log2):
            histogram = CodeHistogram.of(part.to(dtype))
            got = (
                histogram.underflow_fraction(fmt, scale_log2),
                histogram.subnormal_fraction(fmt, scale_log2),
                histogram.overflow_fraction(fmt, scale_log2),
            )
            assert got == brute_shares(finite(part), fmt, scale_log2)


@given(tensors().filter(within_float32), st.sampled_from(NARROW), st.integers(-20, 20))
def test_compact_form_keeps_fractions_of_formats_with_3_mantissa_bits(
    x: Tensor, fmt: Format, scale_log2: int
) -> None:
    if fmt is formats.E3M4:
        fmt = formats.E2M1
    compact = CodeHistogram.from_json(CodeHistogram.of(x).to_json(compact=True))
    underflow, _, overflow = brute_shares(finite(x), fmt, scale_log2)
    assert compact.underflow_fraction(fmt, scale_log2) == underflow
    assert compact.overflow_fraction(fmt, scale_log2) == overflow
    assert repr(compact.rms) == repr(CodeHistogram.of(x).rms)


@pytest.mark.parametrize("fmt", [formats.FP16, formats.BF16])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_fractions_of_16_bit_elements_are_exact_in_16_bit_formats(
    dtype: torch.dtype, fmt: Format
) -> None:
    x = torch.arange(2**16).to(torch.uint16).view(dtype)
    for scale_log2 in (0, 7, -9):
        histogram = CodeHistogram.of(x)
        got = (
            histogram.underflow_fraction(fmt, scale_log2),
            histogram.subnormal_fraction(fmt, scale_log2),
            histogram.overflow_fraction(fmt, scale_log2),
        )
        assert got == brute_shares(finite(x), fmt, scale_log2)


def brute_sqnr(values: Tensor, fmt: Format, scale_log2: int) -> float:
    cast = quantize(values * 2.0**scale_log2, fmt) * 2.0**-scale_log2
    noise = (values - cast).square().sum().item()
    return 10 * math.log10(values.square().sum().item() / noise) if noise else math.inf


@pytest.mark.parametrize("scale_log2", [0, 5, -7])
@pytest.mark.parametrize("fmt", NARROW, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sqnr(dtype: torch.dtype, fmt: Format, scale_log2: int) -> None:
    x = torch.randn(20_000).to(dtype)
    histogram = CodeHistogram.of(x)
    want = brute_sqnr(x.double(), fmt, scale_log2)
    if dtype in (torch.float32, torch.float64):
        # An element is known to its bin, width w = 2**-7 of it: its squared error e² to about
        # 2·e·w/√12. With e = 2**-(m+1)/√3 of it, 3σ over n elements is 3·2**(m−6)/√n of the noise.
        share = 3 * 2.0 ** (fmt.mantissa_bits - 6) / math.sqrt(len(x))
        tolerance = 10 * math.log10(1 + share)
        assert histogram.sqnr_db(fmt, scale_log2) == pytest.approx(want, abs=tolerance)
        if fmt.mantissa_bits <= 3:
            assert histogram.coarsen().sqnr_db(fmt, scale_log2) == pytest.approx(want, abs=0.5)
    else:
        assert histogram.sqnr_db(fmt, scale_log2) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("fmt", [formats.E4M3FN, formats.E2M1], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("exponent", [-30, -12, 0, 9, 25])
def test_best_scale_is_the_best_of_all(fmt: Format, exponent: int) -> None:
    x = (torch.randn(20_000) * 2.0**exponent).bfloat16()
    histogram = CodeHistogram.of(x)
    best = histogram.best_scale_log2(fmt)
    scores = {k: brute_sqnr(x.double(), fmt, k) for k in range(-45, 46)}
    assert scores[best] == pytest.approx(max(scores.values()), rel=1e-9)
    equals = [k for k, score in scores.items() if score >= scores[best] * (1 + 1e-12)]
    assert all(abs(best) <= abs(k) or scores[k] == scores[best] for k in equals)


def test_best_scale_of_a_tensor_that_fits_is_none() -> None:
    x = torch.tensor([1.0, 1.1, 2.0, 3.3])
    assert CodeHistogram.of(x).best_scale_log2(formats.E4M3FN) == 0
    assert CodeHistogram.of(torch.zeros(3)).best_scale_log2(formats.E4M3FN) == 0


@given(tensors(), tensors(), tensors())
@HALF
def test_merging_is_commutative_and_associative_with_an_identity(
    x: Tensor, y: Tensor, z: Tensor
) -> None:
    a, b, c = (CodeHistogram.of(t) for t in (x, y, z))
    c = c.coarsen()
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + CodeHistogram.empty() == a
    assert hash(a + b) == hash(b + a)


@given(tensors(), st.integers(0, 40))
@HALF
def test_parts_add_up_to_the_whole(x: Tensor, cut: int) -> None:
    flat = x.reshape(-1)
    assert CodeHistogram.of(flat[:cut]) + CodeHistogram.of(flat[cut:]) == CodeHistogram.of(x)


@given(tensors())
@HALF
def test_json_is_lossless_and_strict(x: Tensor) -> None:
    for histogram in (CodeHistogram.of(x), CodeHistogram.of(x).coarsen(2)):
        text = json.dumps(histogram.to_json(), allow_nan=False)
        assert CodeHistogram.from_json(json.loads(text)) == histogram


def test_histograms_of_earlier_recordings_are_read() -> None:
    histogram = CodeHistogram.of(torch.tensor([1.0, 1.0, -3.0, 0.0]))
    written = histogram.to_json()
    assert written["schema"] == 2
    text = {name: b85encode(b64decode(written[name])).decode() for name in ("codes", "counts")}
    assert CodeHistogram.from_json({**written, **text, "schema": 1}) == histogram


def test_compact_json_of_a_typical_tensor_is_a_few_hundred_bytes() -> None:
    histogram = CodeHistogram.of(torch.randn(65536))
    assert len(json.dumps(histogram.to_json(compact=True))) < 700
    assert len(json.dumps(histogram.to_json())) < 2500


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float8_e4m3fn, torch.float8_e5m2),
        *(torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu),
    ],
)
def test_every_code_of_every_8_bit_dtype(dtype: torch.dtype) -> None:
    x = torch.arange(256).to(torch.uint8).view(dtype)
    histogram, wide = CodeHistogram.of(x), x.to(torch.float32).double()
    values = wide[wide.isfinite()]
    assert histogram.count == 256
    assert histogram.nan_count == int(wide.isnan().sum())
    assert histogram.inf_count == int(wide.isinf().sum())
    assert histogram.zeros == int((wide == 0).sum())
    assert histogram.absmax == values.abs().max().item()
    assert histogram.rms == pytest.approx(values.square().mean().sqrt().item(), rel=1e-14)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn]
)
def test_torch_and_compiled_loops_agree(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On what the loops treat apart: blocks, exact and subnormal elements, NaN, many threads."""
    x = torch.randn(2**21 + 77)
    x[1000:3000] = 0
    x[5000:6000] = math.nan
    x[6000:7000] = -math.inf
    x[9000:20000] = x[9000:20000].bfloat16().float()
    x[20000:21000] *= 2.0**-135
    x[30000:50000] = 1.2345
    compiled = CodeHistogram.of(x.to(dtype))
    monkeypatch.setattr(counting, "can_compile", lambda _: False)
    assert CodeHistogram.of(x.to(dtype)) == compiled
    monkeypatch.undo()
    one_thread = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert CodeHistogram.of(x.to(dtype)) == compiled
    finally:
        torch.set_num_threads(one_thread)


def test_no_unit_is_lost_beyond_32_bits() -> None:
    x = torch.full((3,), 1.2345)
    histogram = CodeHistogram.of(x)
    for _ in range(40):
        histogram = histogram + histogram
    histogram = histogram + CodeHistogram.of(x[:1])
    assert histogram.count == 3 * 2**40 + 1
    assert histogram.counts.sum() == 3 * 2**40 + 1
    assert histogram.rms == x[0].item()


def test_no_unit_is_lost_beyond_24_bits_of_equal_elements() -> None:
    histogram = CodeHistogram.of(torch.full((2**24 + 1,), 1.2345))
    assert histogram.count == 2**24 + 1
    assert histogram.rms == np.float32(1.2345)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.ones(2, dtype=torch.int64), "cannot count torch.int64"),
        (torch.ones(2, dtype=torch.bool), "cannot count torch.bool"),
        (torch.ones(2, dtype=torch.complex64), "cannot count torch.complex64"),
        (torch.ones(2, 2).to_sparse(), "layout torch.sparse_coo"),
        (torch.ones(2, device="meta"), "on meta: needs dense data"),
    ],
)
def test_bad_input_is_one_clear_error(x: Tensor, says: str) -> None:
    with pytest.raises(InputError, match=says):
        CodeHistogram.of(x)


@pytest.mark.parametrize("change", [{"schema": 7}, {"codes": "~"}, {"bins": 5}, {"squares": None}])
def test_bad_json_is_one_clear_error(change: dict[str, object]) -> None:
    written = CodeHistogram.of(torch.randn(9)).to_json()
    with pytest.raises(InputError, match="histogram"):
        CodeHistogram.from_json({**written, **change})
    with pytest.raises(InputError, match="not a histogram"):
        CodeHistogram.from_json({"schema": 1})


def test_coarsen_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match=r"must lie in 0\.\.7: 8"):
        CodeHistogram.empty().coarsen(8)
