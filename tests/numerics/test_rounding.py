"""The scalar reference: against gfloat, and the whole-array oracle against it."""

import math
from fractions import Fraction

import gfloat
import numpy as np
import pytest

from tests.numerics.oracle import assert_same, overflow_rules, round_by_table
from tests.numerics.test_formats import GFLOAT, same
from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics.formats import Format, Overflow, Special
from umup_diag.numerics.rounding import Rounding, round_to_format

GFLOAT_MODES = {
    Rounding.NEAREST_EVEN: gfloat.RoundMode.TiesToEven,
    Rounding.NEAREST_AWAY: gfloat.RoundMode.TiesToAway,
    Rounding.TOWARD_ZERO: gfloat.RoundMode.TowardZero,
}


def samples(fmt: Format, count: int) -> list[float]:
    """Values, ties, their float32 neighbours, the specials, and random bfloat16 and float16."""
    rng = np.random.default_rng(0)
    codes = [0, fmt.max_code, *rng.permutation(fmt.max_code + 1)[: count // 4].tolist()]
    on_grid = [float(fmt.magnitude(code)) for code in codes]
    ties = [float((fmt.magnitude(code) + fmt.magnitude(code + 1)) / 2) for code in codes]
    with np.errstate(over="ignore"):
        points = np.array(on_grid + ties).astype(np.float32)
        near = np.concatenate([np.nextafter(points, np.float32(s)) for s in (0, np.inf)])
    random = rng.integers(0, 65536, 2 * (count // 4)).astype(np.uint16)
    halves = random[::2].view(np.float16).astype(np.float32)
    bfloats = (random[1::2].astype(np.uint32) << 16).view(np.float32)
    limits = [0.0, math.inf, math.nan, 1e-45, 3.4e38, 464.0, 465.0, 61440.0, fmt.max]
    every = [*limits, *points.tolist(), *near.tolist(), *halves.tolist(), *bfloats.tolist()]
    return [float(np.float32(sign * x)) for x in every for sign in (1, -1)]


@pytest.mark.parametrize("rounding", GFLOAT_MODES)
@pytest.mark.parametrize("name", GFLOAT)
def test_reference_equals_gfloat(name: str, rounding: Rounding) -> None:
    fmt, info = formats.ALL[name], GFLOAT[name]
    for overflow in overflow_rules(fmt):
        if overflow is Overflow.NAN and fmt.special is Special.IEEE:
            continue  # gfloat overflows to infinity where there is one
        for x in samples(fmt, 200):
            if math.isnan(x) or (not fmt.signed and math.copysign(1, x) < 0):
                continue  # gfloat refuses NaN where there is no code, and drops unsigned signs
            if not fmt.subnormals and abs(x) < fmt.min_normal:
                continue  # and lets magnitudes below the smallest E8M0 value through
            ours = round_to_format(x, fmt, rounding=rounding, overflow=overflow)
            theirs = gfloat.round_float(
                info, x, GFLOAT_MODES[rounding], sat=overflow is Overflow.SATURATE
            )
            assert same(ours, theirs), (x, overflow)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("name", formats.ALL)
def test_table_oracle_equals_reference(name: str, rounding: Rounding) -> None:
    fmt = formats.ALL[name]
    xs = samples(fmt, 100)
    draws = np.random.default_rng(1).integers(0, 2**24, len(xs)) / 2**24
    for overflow in overflow_rules(fmt):
        want = [
            round_to_format(x, fmt, rounding=rounding, overflow=overflow, draw=Fraction(draw))
            for x, draw in zip(xs, draws.tolist(), strict=True)
        ]
        assert_same(round_by_table(np.array(xs), fmt, rounding, overflow, draws), np.array(want))


@pytest.mark.parametrize(
    ("x", "fmt", "want"),
    [
        (464.0, formats.E4M3FN, 448.0),
        (464.1, formats.E4M3FN, math.nan),
        (61440.0, formats.E5M2, math.inf),
        (61439.0, formats.E5M2, 57344.0),
        (248.0, formats.E4M3FNUZ, math.nan),
        (248.0, formats.E4M3_IEEE, math.inf),
        (7.0, formats.E2M1, 6.0),
        (2**-10, formats.E4M3FN, 0.0),
        (-(2**-10), formats.E4M3FNUZ, -(2**-10)),
        (-(2**-11), formats.E4M3FNUZ, 0.0),
        (3.0, formats.E8M0, 2.0),
        (6.0, formats.E8M0, 8.0),
        (0.0, formats.E8M0, 2.0**-127),
        (-1.0, formats.E8M0, math.nan),
    ],
)
def test_known_values_by_the_rule_of_the_format(x: float, fmt: Format, want: float) -> None:
    assert same(round_to_format(x, fmt, overflow=fmt.overflow), want)


def test_toward_zero_a_finite_number_never_overflows() -> None:
    for x, want in ((1e30, 57344.0), (math.inf, math.inf)):
        got = round_to_format(x, formats.E5M2, rounding=Rounding.TOWARD_ZERO, overflow=Overflow.INF)
        assert got == want


def test_what_has_no_code_is_an_error() -> None:
    with pytest.raises(InputError, match="E4M3FN has no infinity to overflow to"):
        round_to_format(1.0, formats.E4M3FN, overflow=Overflow.INF)
    with pytest.raises(InputError, match="E2M1 has no NaN to overflow to"):
        round_to_format(1.0, formats.E2M1, overflow=Overflow.NAN)
    with pytest.raises(InputError, match="needs a draw"):
        round_to_format(1.0, formats.E4M3FN, rounding=Rounding.STOCHASTIC)
