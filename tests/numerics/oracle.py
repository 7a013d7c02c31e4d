"""An independent oracle for whole arrays: look the neighbours up in a table of all values.

`test_rounding.py` proves it equal to the scalar reference.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from umup_diag.numerics.formats import Format, Overflow, Special
from umup_diag.numerics.rounding import Rounding

Floats = npt.NDArray[np.float64]


def overflow_rules(fmt: Format) -> list[Overflow]:
    """Every rule that the format has a code for."""
    rules = [Overflow.SATURATE]
    if fmt.special is Special.IEEE:
        rules.append(Overflow.INF)
    if fmt.special is not Special.FINITE:
        rules.append(Overflow.NAN)
    return rules


@cache
def values(fmt: Format) -> Floats:
    """Every magnitude of a format, ascending, and the one after the largest."""
    return np.array([float(fmt.magnitude(code)) for code in range(fmt.max_code + 2)])


def round_by_table(
    x: Floats, fmt: Format, rounding: Rounding, overflow: Overflow, draws: Floats | None = None
) -> Floats:
    """Round (N,) float64; only for inputs of at most 24 significant bits, which keep it exact."""
    table = values(fmt)
    beyond = {Overflow.SATURATE: fmt.max, Overflow.INF: math.inf, Overflow.NAN: math.nan}[overflow]
    magnitude = np.maximum(np.abs(x), table[0])
    code = np.clip(np.searchsorted(table, magnitude, side="right") - 1, 0, fmt.max_code)
    gap = table[code + 1] - table[code]
    covered = (magnitude - table[code]) / gap
    even: Any = code % 2 == 0
    up = {
        Rounding.NEAREST_EVEN: (covered > 0.5) | ((covered == 0.5) & ~even),
        Rounding.NEAREST_AWAY: covered >= 0.5,
        Rounding.TOWARD_ZERO: np.isinf(x),
        Rounding.STOCHASTIC: covered > (0 if draws is None else draws),
    }[rounding]
    rounded = code + up
    result = np.where(rounded > fmt.max_code, beyond, table[rounded])
    result = np.where(np.isnan(x), math.nan, result)
    if not fmt.signed:
        return np.where(x < 0, math.nan, result)
    signed = np.copysign(result, x)
    return signed if fmt.signed_zero else np.where(result == 0, 0.0, signed)


def assert_same(got: Floats, want: Floats) -> None:
    """Equal values, NaN where NaN, and the same sign on zeros."""
    np.testing.assert_array_equal(got, want)
    zero = want == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))
