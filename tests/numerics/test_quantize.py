"""The tensor twin equals the reference: all 16-bit inputs, every format, rule and path."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.numerics.oracle import Floats, assert_same, overflow_rules, round_by_table, values
from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics import quantize as module
from umup_diag.numerics.formats import Format, Overflow
from umup_diag.numerics.quantize import quantize
from umup_diag.numerics.rounding import Rounding

SIXTEEN_BITS = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
ALL_INPUTS = {dtype: SIXTEEN_BITS.view(dtype) for dtype in (torch.bfloat16, torch.float16)}


def draws(shape: torch.Size, seed: int) -> Floats:
    """The draws that stochastic rounding makes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator).double().numpy() + 2.0**-25


def check(x: Tensor, fmt: Format, rounding: Rounding, overflow: Overflow) -> None:
    got = quantize(
        x, fmt, rounding=rounding, overflow=overflow, generator=torch.Generator().manual_seed(3)
    )
    source = x.double().numpy()
    want = round_by_table(source, fmt, rounding, overflow, draws(x.shape, 3))
    assert got.dtype in (x.dtype, torch.float32)
    assert_same(got.double().numpy(), want)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("name", formats.ALL)
@pytest.mark.parametrize("dtype", ALL_INPUTS)
def test_all_16_bit_inputs(dtype: torch.dtype, name: str, rounding: Rounding) -> None:
    fmt = formats.ALL[name]
    for overflow in overflow_rules(fmt):
        check(ALL_INPUTS[dtype], fmt, rounding, overflow)


@pytest.mark.parametrize("name", formats.ALL)
@pytest.mark.parametrize("dtype", ALL_INPUTS)
def test_all_16_bit_inputs_without_compiled_loops(
    dtype: torch.dtype, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path that CUDA takes."""
    monkeypatch.setattr(module, "can_compile", lambda _: False)
    fmt = formats.ALL[name]
    for overflow in overflow_rules(fmt):
        check(ALL_INPUTS[dtype], fmt, Rounding.NEAREST_EVEN, overflow)


@pytest.mark.parametrize("wide", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", formats.ALL)
def test_all_bfloat16_values_in_wider_tensors(name: str, wide: torch.dtype) -> None:
    fmt = formats.ALL[name]
    for overflow in overflow_rules(fmt):
        x = ALL_INPUTS[torch.bfloat16].to(wide)
        check(x, fmt, Rounding.NEAREST_EVEN, overflow)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("name", formats.ALL)
def test_float32_around_every_value_and_tie(name: str, rounding: Rounding) -> None:
    fmt = formats.ALL[name]
    table = values(fmt)
    points = np.concatenate([table, (table[1:] + table[:-1]) / 2]).clip(max=3.4e38)
    middle = points.astype(np.float32)
    near = [np.nextafter(middle, np.float32(side)) for side in (0, np.inf)]
    x = torch.from_numpy(np.concatenate([middle, -middle, *near]))
    for overflow in overflow_rules(fmt):
        check(x, fmt, rounding, overflow)


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E2M1"])
def test_float64_rounds_once(name: str) -> None:
    """Just above a tie, by less than float32 can tell: rounding in two steps would go down."""
    fmt = formats.ALL[name]
    tie = (fmt.decode(2) + fmt.decode(3)) / 2
    x = torch.tensor([tie * (1 - 2**-50), tie, tie * (1 + 2**-50)], dtype=torch.float64)
    assert quantize(x, fmt).tolist() == [fmt.decode(2), fmt.decode(2), fmt.decode(3)]


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E2M1", "FP16"])
def test_shape_stride_and_dtype(name: str) -> None:
    fmt = formats.ALL[name]
    base = torch.randn(6, 8, 10, dtype=torch.float32)
    whole = quantize(base, fmt)
    before = base.clone()
    assert torch.equal(quantize(base.transpose(0, 2), fmt), whole.transpose(0, 2))
    assert torch.equal(quantize(base[::2, 1:5, ::3], fmt), whole[::2, 1:5, ::3])
    assert torch.equal(quantize(base[:1].expand(4, 8, 10), fmt), whole[:1].expand(4, 8, 10))
    assert torch.equal(quantize(base[0, 0, 0], fmt), whole[0, 0, 0])
    assert quantize(torch.empty(0, 3), fmt).shape == (0, 3)
    assert torch.equal(base, before)


def test_result_dtype_has_every_value_of_the_format() -> None:
    x = torch.ones(2)
    assert quantize(x.half(), formats.E5M2).dtype is torch.float16
    assert quantize(x.half(), formats.BF16).dtype is torch.float32
    assert quantize(x.bfloat16(), formats.E4M3FN).dtype is torch.bfloat16
    assert quantize(x.bfloat16(), formats.FP16).dtype is torch.float32
    assert quantize(x.double(), formats.BF16).dtype is torch.float64
    assert quantize(x.to(torch.float8_e5m2), formats.E4M3FN).dtype is torch.float32


def test_threads_do_not_show() -> None:
    x = torch.randn(2**21 + 3)
    assert torch.equal(
        quantize(x, formats.E4M3FN), x.clamp(-448, 448).to(torch.float8_e4m3fn).float()
    )


SHARE = 0.3
DRAWS = 1_000_000


@pytest.mark.parametrize("name", ["E4M3FN", "E5M2", "E2M1", "BF16"])
@pytest.mark.parametrize("code", [0, 5])
def test_stochastic_rounding_is_unbiased(name: str, code: int) -> None:
    """The mean within 3σ of the exact value, at a number of draws fixed beforehand."""
    fmt = formats.ALL[name]
    low, high = fmt.decode(code), fmt.decode(code + 1)
    x = np.float32(low + SHARE * (high - low))
    share = (float(x) - low) / (high - low)
    got = quantize(
        torch.full((DRAWS,), float(x)),
        fmt,
        rounding="stochastic",
        generator=torch.Generator().manual_seed(5),
    ).double()
    assert set(torch.unique(got).tolist()) == {low, high}
    ups = ((got - low) / (high - low)).mean().item()
    assert abs(ups - share) <= 3 * (share * (1 - share) / DRAWS) ** 0.5


def test_stochastic_rounding_keeps_what_the_format_has() -> None:
    values = torch.tensor([v for v in formats.E4M3FN.values if v == v])
    assert torch.equal(quantize(values, formats.E4M3FN, rounding="stochastic"), values)


@pytest.mark.parametrize(
    ("x", "rules", "says"),
    [
        (torch.ones(2, dtype=torch.int32), {}, "cannot quantize torch.int32"),
        (torch.ones(2, dtype=torch.complex64), {}, "cannot quantize torch.complex64"),
        (torch.ones(2), {"rounding": "up"}, "'up' is not a valid Rounding"),
        (torch.ones(2), {"overflow": "wrap"}, "'wrap' is not a valid Overflow"),
        (torch.ones(2), {"overflow": "inf"}, "E4M3FN has no infinity"),
    ],
)
def test_bad_input_is_one_clear_error(x: Tensor, rules: dict[str, str], says: str) -> None:
    rounding = rules.get("rounding", Rounding.NEAREST_EVEN)
    overflow = rules.get("overflow", Overflow.SATURATE)
    with pytest.raises(InputError, match=says):
        quantize(x, formats.E4M3FN, rounding=rounding, overflow=overflow)
