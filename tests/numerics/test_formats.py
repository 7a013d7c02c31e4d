"""Formats against gfloat and ml_dtypes, and against the published limits."""

import math

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics.formats import Format, Overflow, Special

ML_DTYPES = {
    "E4M3FN": ml_dtypes.float8_e4m3fn,
    "E5M2": ml_dtypes.float8_e5m2,
    "E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "E4M3_IEEE": ml_dtypes.float8_e4m3,
    "E3M4": ml_dtypes.float8_e3m4,
    "E2M3": ml_dtypes.float6_e2m3fn,
    "E3M2": ml_dtypes.float6_e3m2fn,
    "E2M1": ml_dtypes.float4_e2m1fn,
    "E8M0": ml_dtypes.float8_e8m0fnu,
}
GFLOAT = {
    "E4M3FN": gfloat.formats.format_info_ocp_e4m3,
    "E5M2": gfloat.formats.format_info_ocp_e5m2,
    "E2M3": gfloat.formats.format_info_ocp_e2m3,
    "E3M2": gfloat.formats.format_info_ocp_e3m2,
    "E2M1": gfloat.formats.format_info_ocp_e2m1,
    "E8M0": gfloat.formats.format_info_ocp_e8m0,
    "FP16": gfloat.formats.format_info_binary16,
    "BF16": gfloat.formats.format_info_bfloat16,
}

# name: max, min normal, smallest, NaN codes, Inf codes, overflow from, at it, zero up to
# OFP8 1.0 table 1 and 2, MX 1.0 tables 1 to 5, IEEE 754, arXiv 2206.02915.
LIMITS = {
    "E4M3FN": (448, 2**-6, 2**-9, 2, 0, 464, False, 2**-10),
    "E5M2": (57344, 2**-14, 2**-16, 6, 2, 61440, True, 2**-17),
    "E4M3FNUZ": (240, 2**-7, 2**-10, 1, 0, 248, True, 2**-11),
    "E5M2FNUZ": (57344, 2**-15, 2**-17, 1, 0, 61440, True, 2**-18),
    "E4M3_IEEE": (240, 2**-6, 2**-9, 14, 2, 248, True, 2**-10),
    "E3M4": (15.5, 2**-2, 2**-6, 30, 2, 15.75, True, 2**-7),
    "E2M3": (7.5, 1, 2**-3, 0, 0, 7.75, True, 2**-4),
    "E3M2": (28, 2**-2, 2**-4, 0, 0, 30, True, 2**-5),
    "E2M1": (6, 1, 2**-1, 0, 0, 7, True, 2**-2),
    "E8M0": (2.0**127, 2**-127, 2**-127, 1, 0, 1.5 * 2.0**127, False, 0),
    "FP16": (65504, 2**-14, 2**-24, 2046, 2, 65520, True, 2**-25),
    "BF16": (
        (2 - 2**-7) * 2.0**127,
        2**-126,
        2**-133,
        254,
        2,
        (2 - 2**-8) * 2.0**127,
        True,
        2**-134,
    ),
}


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (
        a == b and math.copysign(1, a) == math.copysign(1, b)
    )


def test_every_ready_format_has_an_oracle() -> None:
    assert set(ML_DTYPES) | set(GFLOAT) == set(formats.ALL) == set(LIMITS)


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_code_decodes_and_encodes_as_in_ml_dtypes(name: str) -> None:
    fmt, dtype = formats.ALL[name], ML_DTYPES[name]
    codes = np.arange(2**fmt.bits, dtype=np.uint8)
    for code, theirs in zip(
        codes.tolist(), codes.view(dtype).astype(np.float64).tolist(), strict=True
    ):
        assert same(fmt.decode(code), theirs), code
        if not math.isnan(theirs):
            assert fmt.encode(theirs) == code
            assert np.float64(theirs).astype(dtype).view(np.uint8) == code


@pytest.mark.parametrize("name", GFLOAT)
def test_every_code_decodes_and_encodes_as_in_gfloat(name: str) -> None:
    fmt, info = formats.ALL[name], GFLOAT[name]
    for code in range(0, 2**fmt.bits, 1 if fmt.bits <= 8 else 37):
        theirs = float(gfloat.decode_float(info, code).fval)
        assert same(fmt.decode(code), theirs), code
        if fmt.bits <= 8 and not math.isnan(theirs):
            assert fmt.encode(theirs) == gfloat.encode_float(info, theirs) == code


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_the_published_ones(name: str) -> None:
    fmt = formats.ALL[name]
    assert LIMITS[name] == (
        fmt.max,
        fmt.min_normal,
        fmt.smallest_subnormal,
        len(fmt.nan_codes),
        len(fmt.inf_codes),
        fmt.overflow_threshold,
        fmt.threshold_overflows,
        fmt.flush_threshold,
    )


@pytest.mark.parametrize("name", formats.ALL)
def test_limits_agree_with_the_enumerated_codes(name: str) -> None:
    fmt = formats.ALL[name]
    values = fmt.values
    finite = [value for value in values if math.isfinite(value)]
    assert len(values) == 2**fmt.bits
    assert fmt.max == max(finite) == fmt.decode(fmt.max_code)
    assert fmt.smallest_subnormal == min(value for value in finite if value > 0)
    assert fmt.min_normal in finite
    assert len(fmt.inf_codes) == sum(math.isinf(value) for value in values)
    assert all(math.isinf(fmt.decode(code)) for code in fmt.inf_codes)
    assert fmt.signed_zero == any(value == 0 and math.copysign(1, value) < 0 for value in values)
    assert math.isnan(fmt.decode(fmt.encode(math.nan))) if fmt.nan_codes else True


@pytest.mark.parametrize(
    ("name", "found"),
    [("e4m3fnuz", "E4M3FNUZ"), (" E5M2 ", "E5M2"), ("e4m3", "E4M3FN"), ("Float8_E5M2", "E5M2")],
)
def test_get_ignores_case_and_knows_the_names_of_torch(name: str, found: str) -> None:
    assert formats.get(name).name == found


@pytest.mark.parametrize(
    ("name", "near"), [("e4m3fnu", "E4M3FNUZ"), ("bf-16", "BF16"), ("fp61", "FP16")]
)
def test_an_unknown_name_offers_the_nearest(name: str, near: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {near}"):
        formats.get(name)


def make(**changes: object) -> Format:
    fields: dict[str, object] = {
        "name": "mine",
        "exponent_bits": 4,
        "mantissa_bits": 3,
        "bias": 7,
        "special": Special.IEEE,
        "overflow": Overflow.SATURATE,
    }
    return Format(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mantissa_bits": 0}, "mantissa bit to tell NaN from infinity"),
        ({"exponent_bits": 0}, "at least 1 exponent bit"),
        ({"exponent_bits": 1}, "without normal values"),
        ({"mantissa_bits": -1}, "cannot be negative"),
        ({"exponent_bits": 8, "mantissa_bits": 8}, "17 bits are more than 16"),
        ({"bias": 200}, "bias 200 is out of range"),
        ({"bias": -200}, "bias -200 is out of range"),
        ({"bias": 10**12}, "out of range"),
        ({"special": Special.FNUZ, "signed": False}, "needs a sign and a zero"),
        ({"special": Special.FN, "overflow": Overflow.INF}, "overflows to infinity"),
        ({"special": Special.FINITE, "overflow": Overflow.NAN}, "overflows to NaN"),
        (
            {"special": Special.FN, "exponent_bits": 1, "mantissa_bits": 0},
            "no positive finite value",
        ),
    ],
)
def test_an_impossible_format_is_one_clear_error(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=f"format 'mine' cannot exist: .*{says}"):
        make(**changes)


def test_a_code_or_value_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(InputError, match="does not fit in the 8 bits of E4M3FN"):
        formats.E4M3FN.decode(256)
    with pytest.raises(InputError, match="is not a value of E4M3FN"):
        formats.E4M3FN.encode(449.0)


def test_a_user_can_make_a_format() -> None:
    b11 = make(bias=11, special=Special.FNUZ, overflow=Overflow.NAN)
    theirs = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3b11fnuz).astype(np.float64)
    assert all(same(a, b) for a, b in zip(b11.values, theirs.tolist(), strict=True))
