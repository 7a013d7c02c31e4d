"""The readable reference: how one number becomes a number of a format, in exact arithmetic.

`umup_diag.numerics.quantize` is the fast twin; tests hold the two equal on every code.
"""

from enum import StrEnum
from fractions import Fraction
from math import copysign, floor, inf, isinf, isnan, nan
from typing import assert_never

from umup_diag.errors import InputError
from umup_diag.numerics.formats import Format, Overflow, Special


class Rounding(StrEnum):
    """Which of its two neighbours a number goes to."""

    NEAREST_EVEN = "nearest-even"
    """The nearer; half-way, the one with the even code (IEEE 754 default)."""
    NEAREST_AWAY = "nearest-away"
    """The nearer; half-way, the larger magnitude."""
    TOWARD_ZERO = "toward-zero"
    """The smaller magnitude."""
    STOCHASTIC = "stochastic"
    """Either, with the probability that makes the mean exact."""


def round_to_format(
    x: float,
    fmt: Format,
    *,
    rounding: Rounding = Rounding.NEAREST_EVEN,
    overflow: Overflow = Overflow.SATURATE,
    draw: Fraction | None = None,
) -> float:
    """Round one number to a format.

    A number rounds as if the format went on beyond its largest value; what then lies beyond it
    overflows. Toward zero, only infinity overflows (IEEE 754, 7.4). NaN stays NaN in every format:
    a cast must not hide it. Saturation takes ±∞ to the largest value (OFP8 1.0, table 3). In a
    format without a sign, a negative number is NaN; in one without a zero, zero becomes the
    smallest value.

    Args:
        x: any float.
        fmt: target format.
        rounding: which neighbour.
        overflow: what too large a number becomes.
        draw: uniform in [0, 1), for stochastic rounding: the number goes up in magnitude if the
            share of the gap that it has covered exceeds the draw.

    Raises:
        InputError: if the format has no code for what `overflow` asks.
    """
    check_overflow(fmt, overflow)
    if isnan(x) or (x < 0 and not fmt.signed):
        return nan
    sign = copysign(1.0, x) if fmt.signed else 1.0
    if isinf(x):
        return sign * overflowed(fmt, overflow)
    magnitude = abs(Fraction(x))
    code, covered = _locate(magnitude, fmt)
    match rounding:
        case Rounding.NEAREST_EVEN:
            up = covered > Fraction(1, 2) or (covered == Fraction(1, 2) and code % 2 == 1)
        case Rounding.NEAREST_AWAY:
            up = covered >= Fraction(1, 2)
        case Rounding.TOWARD_ZERO:
            up = False
            code = min(code, fmt.max_code)
        case Rounding.STOCHASTIC:
            if draw is None:
                raise InputError("stochastic rounding needs a draw, uniform in [0, 1)")
            up = covered > draw
        case _:
            assert_never(rounding)
    code += up
    if code > fmt.max_code:
        return sign * overflowed(fmt, overflow)
    result = float(fmt.magnitude(code))
    return sign * result if result or fmt.signed_zero else 0.0


def check_overflow(fmt: Format, overflow: Overflow) -> None:
    """Refuse an overflow rule that the format has no code for.

    Raises:
        InputError: infinity in a format without one, NaN in a format without one.
    """
    if overflow is Overflow.INF and fmt.special is not Special.IEEE:
        raise InputError(f"{fmt.name} has no infinity to overflow to")
    if overflow is Overflow.NAN and fmt.special is Special.FINITE:
        raise InputError(f"{fmt.name} has no NaN to overflow to")


def _locate(magnitude: Fraction, fmt: Format) -> tuple[int, Fraction]:
    """Code at or below a magnitude, and the share of the gap to the next code covered beyond it.

    The codes run on beyond the largest finite one, without end.
    """
    smallest = fmt.magnitude(0)
    if magnitude <= smallest:
        return 0, Fraction(0)
    exponent = max(_floor_log2(magnitude), fmt.min_exponent)
    spacing = Fraction(2) ** (exponent - fmt.mantissa_bits)
    steps = floor(magnitude / spacing)
    code = steps + (exponent - fmt.min_exponent) * 2**fmt.mantissa_bits
    if not fmt.subnormals:
        code -= 2**fmt.mantissa_bits
    return code, magnitude / spacing - steps


def _floor_log2(positive: Fraction) -> int:
    """Largest integer n with 2**n <= positive."""
    n = positive.numerator.bit_length() - positive.denominator.bit_length()
    return n if Fraction(2) ** n <= positive else n - 1


def overflowed(fmt: Format, overflow: Overflow) -> float:
    """What too large a magnitude becomes."""
    match overflow:
        case Overflow.SATURATE:
            return fmt.max
        case Overflow.INF:
            return inf
        case Overflow.NAN:
            return nan
        case _:
            assert_never(overflow)
