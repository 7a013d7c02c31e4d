"""Number formats as whole values: every limit is derived from the definition, none is typed in.

A format is never reduced to (exponent bits, mantissa bits): E4M3 with a largest value of 240 and
the OCP E4M3 with 448 are different formats. Sources: OCP 8-bit Floating Point (OFP8) 1.0, OCP
Microscaling (MX) 1.0, IEEE 754-2019, and the FNUZ proposal (arXiv 2206.02915).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import copysign, isnan
from types import MappingProxyType
from typing import assert_never

from umup_diag.errors import InputError

# Every value of a format must be a float32, so that a float32 tensor can hold it.
_FLOAT32_MIN_LOG2 = -149
_FLOAT32_MAX = (2 - Fraction(1, 2**23)) * 2**127
_MAX_BITS = 16
_MAX_BIAS = 2**_MAX_BITS


class Special(StrEnum):
    """Which codes a format gives away to NaN and infinity."""

    IEEE = "ieee"
    """All-ones exponent: mantissa 0 is infinity, the rest is NaN."""
    FN = "fn"
    """Only the all-ones magnitude is NaN; no infinity (OCP E4M3, E8M0)."""
    FNUZ = "fnuz"
    """The code of negative zero is the one NaN; no infinity, no negative zero."""
    FINITE = "finite"
    """Every code is a number (FP6, FP4)."""


class Overflow(StrEnum):
    """What becomes of a value that rounds beyond the largest finite one."""

    SATURATE = "saturate"
    INF = "inf"
    NAN = "nan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A binary floating-point format of at most 16 bits.

    A code is read as sign, exponent, mantissa, from the highest bit down.

    Attributes:
        name: what `get` finds it by and reports print.
        exponent_bits: width of the exponent field, at least 1.
        mantissa_bits: width of the mantissa field (the leading one not stored).
        bias: subtracted from the exponent field.
        special: which codes are NaN and infinity.
        overflow: what a cast that does not saturate makes of too large a value.
        signed: whether there is a sign bit.
        subnormals: whether exponent field 0 holds zero and the subnormals. False makes it one more
            binade, and then there is no zero (E8M0).

    Raises:
        InputError: if no such format can exist, or float32 cannot hold all its values.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    special: Special
    overflow: Overflow
    signed: bool = True
    subnormals: bool = True

    def __post_init__(self) -> None:
        if problem := _problem(self):
            raise InputError(f"format {self.name!r} cannot exist: {problem}")

    @property
    def bits(self) -> int:
        """Width of a code."""
        return int(self.signed) + self.exponent_bits + self.mantissa_bits

    @property
    def signed_zero(self) -> bool:
        """Whether −0 has a code of its own."""
        return self.signed and self.subnormals and self.special is not Special.FNUZ

    @property
    def nan_codes(self) -> tuple[int, ...]:
        """Codes that are NaN, ascending."""
        return tuple(code for code, value in enumerate(self.values) if isnan(value))

    @property
    def inf_codes(self) -> tuple[int, ...]:
        """Codes that are +∞ and −∞; empty if the format has no infinity."""
        if self.special is not Special.IEEE:
            return ()
        positive = self.max_code + 1
        return (positive, positive | self._sign_bit) if self.signed else (positive,)

    @property
    def max_code(self) -> int:
        """Code of the largest finite value."""
        all_ones = (1 << self.exponent_bits + self.mantissa_bits) - 1
        match self.special:
            case Special.IEEE:
                return all_ones - (1 << self.mantissa_bits)
            case Special.FN:
                return all_ones - 1
            case Special.FNUZ | Special.FINITE:
                return all_ones
            case _:
                assert_never(self.special)

    @property
    def max(self) -> float:
        """Largest finite value."""
        return _max(self)

    @property
    def max_exponent(self) -> int:
        """Exponent of two of the largest finite value."""
        return (self.max_code >> self.mantissa_bits) - self.bias

    @property
    def min_exponent(self) -> int:
        """Exponent of two of the smallest normal value, and of the spacing below it."""
        return int(self.subnormals) - self.bias

    @property
    def min_normal(self) -> float:
        """Smallest positive value with all its mantissa bits."""
        return float(2.0**self.min_exponent)

    @property
    def smallest_subnormal(self) -> float:
        """Smallest positive value; equals `min_normal` if the format has no subnormals."""
        if not self.subnormals:
            return self.min_normal
        return float(2.0 ** (self.min_exponent - self.mantissa_bits))

    @property
    def overflow_threshold(self) -> float:
        """Half-way from the largest value to the one that would follow it."""
        return _overflow_threshold(self)

    @property
    def threshold_overflows(self) -> bool:
        """Whether the threshold itself overflows: the tie goes to the even code (464 to 448)."""
        return self.max_code % 2 == 1

    @property
    def flush_threshold(self) -> float:
        """Magnitudes up to and including this one become zero; 0 if the format has no zero."""
        return self.smallest_subnormal / 2 if self.subnormals else 0.0

    @property
    def values(self) -> tuple[float, ...]:
        """What every code stands for, in the order of codes."""
        return _values(self)

    def magnitude(self, code: int) -> Fraction:
        """Value of a code without its sign, as if no code were special.

        Args:
            code: exponent and mantissa bits; one past the last code is read as the next value.
        """
        field, mantissa = divmod(code, 1 << self.mantissa_bits)
        unit = Fraction(2) ** (max(field, int(self.subnormals)) - self.bias - self.mantissa_bits)
        leading = 0 if field == 0 and self.subnormals else 1 << self.mantissa_bits
        return (leading + mantissa) * unit

    def decode(self, code: int) -> float:
        """Value of a code; exact.

        Raises:
            InputError: if the code does not fit in `bits`.
        """
        if not 0 <= code < 1 << self.bits:
            raise InputError(f"code {code:#x} does not fit in the {self.bits} bits of {self.name}")
        sign, magnitude_code = divmod(code, self._sign_bit)
        if self.special is Special.FNUZ and sign and magnitude_code == 0:
            return float("nan")
        if magnitude_code > self.max_code:
            is_inf = self.special is Special.IEEE and magnitude_code == self.max_code + 1
            magnitude = float("inf") if is_inf else float("nan")
        else:
            magnitude = float(self.magnitude(magnitude_code))
        return -magnitude if sign else magnitude

    def encode(self, value: float) -> int:
        """Code of a value that the format has; NaN takes the quiet one, positive if it can.

        Raises:
            InputError: if the format has no such value: round it first.
        """
        if isnan(value) and self.special is Special.IEEE:
            return self.max_code + 1 + (1 << self.mantissa_bits - 1)
        for code, known in enumerate(self.values):
            if (isnan(value) and isnan(known)) or (
                known == value and copysign(1, known) == copysign(1, value)
            ):
                return code
        raise InputError(f"{value!r} is not a value of {self.name}")

    @property
    def _sign_bit(self) -> int:
        return 1 << self.exponent_bits + self.mantissa_bits


@lru_cache(maxsize=64)  # asked for with every cast, and made of fractions
def _max(fmt: Format) -> float:
    return float(fmt.magnitude(fmt.max_code))


@lru_cache(maxsize=64)
def _overflow_threshold(fmt: Format) -> float:
    return float((fmt.magnitude(fmt.max_code) + fmt.magnitude(fmt.max_code + 1)) / 2)


@lru_cache(maxsize=64)
def _values(fmt: Format) -> tuple[float, ...]:
    return tuple(fmt.decode(code) for code in range(2**fmt.bits))


def _problem(fmt: Format) -> str | None:
    """Why the format cannot exist, or None."""
    if fmt.exponent_bits < 1:
        return f"it needs at least 1 exponent bit, got {fmt.exponent_bits}"
    if fmt.mantissa_bits < 0:
        return f"mantissa bits cannot be negative, got {fmt.mantissa_bits}"
    if fmt.bits > _MAX_BITS:
        return f"{fmt.bits} bits are more than {_MAX_BITS}"
    if fmt.special is Special.IEEE and fmt.mantissa_bits == 0:
        return "the IEEE rule needs a mantissa bit to tell NaN from infinity"
    if fmt.special is Special.IEEE and fmt.exponent_bits == 1:
        return (
            "the IEEE rule reserves an exponent, which leaves 1 exponent bit without normal values"
        )
    if fmt.special is Special.FNUZ and not (fmt.signed and fmt.subnormals):
        return "the FNUZ rule puts NaN on the code of negative zero, so it needs a sign and a zero"
    if fmt.overflow is Overflow.INF and fmt.special is not Special.IEEE:
        return f"it overflows to infinity, but the {fmt.special} rule has none"
    if fmt.overflow is Overflow.NAN and fmt.special is Special.FINITE:
        return "it overflows to NaN, but the finite rule has none"
    if fmt.max_code < 1:
        return "it has no positive finite value"
    if abs(fmt.bias) > _MAX_BIAS:
        return f"bias {fmt.bias} is out of range: float32 cannot hold its values"
    largest, smallest = fmt.magnitude(fmt.max_code), fmt.magnitude(int(fmt.subnormals))
    if largest > _FLOAT32_MAX or smallest < Fraction(2) ** _FLOAT32_MIN_LOG2:
        return f"bias {fmt.bias} is out of range: float32 cannot hold all its values"
    return None


def _make(
    name: str,
    exponent_bits: int,
    mantissa_bits: int,
    bias: int,
    special: Special,
    overflow: Overflow,
) -> Format:
    return Format(
        name=name,
        exponent_bits=exponent_bits,
        mantissa_bits=mantissa_bits,
        bias=bias,
        special=special,
        overflow=overflow,
    )


E4M3FN = _make("E4M3FN", 4, 3, 7, Special.FN, Overflow.NAN)
"""OCP E4M3, the one that is usually meant by E4M3: largest value 448."""
E5M2 = _make("E5M2", 5, 2, 15, Special.IEEE, Overflow.INF)
"""OCP E5M2."""
E4M3FNUZ = _make("E4M3FNUZ", 4, 3, 8, Special.FNUZ, Overflow.NAN)
E5M2FNUZ = _make("E5M2FNUZ", 5, 2, 16, Special.FNUZ, Overflow.NAN)
E4M3_IEEE = _make("E4M3_IEEE", 4, 3, 7, Special.IEEE, Overflow.INF)
"""E4M3 by the IEEE rule: largest value 240. Not the OCP format."""
E3M4 = _make("E3M4", 3, 4, 3, Special.IEEE, Overflow.INF)
E2M3 = _make("E2M3", 2, 3, 1, Special.FINITE, Overflow.SATURATE)
"""FP6 with 3 mantissa bits."""
E3M2 = _make("E3M2", 3, 2, 3, Special.FINITE, Overflow.SATURATE)
"""FP6 with 2 mantissa bits."""
E2M1 = _make("E2M1", 2, 1, 1, Special.FINITE, Overflow.SATURATE)
"""FP4."""
E8M0 = Format(
    name="E8M0",
    exponent_bits=8,
    mantissa_bits=0,
    bias=127,
    special=Special.FN,
    overflow=Overflow.NAN,
    signed=False,
    subnormals=False,
)
"""Power-of-two scale of the MX formats: no sign, no zero."""
FP16 = _make("FP16", 5, 10, 15, Special.IEEE, Overflow.INF)
BF16 = _make("BF16", 8, 7, 127, Special.IEEE, Overflow.INF)

ALL: Mapping[str, Format] = MappingProxyType(
    {
        fmt.name: fmt
        for fmt in (
            *(E4M3FN, E5M2, E4M3FNUZ, E5M2FNUZ, E4M3_IEEE, E3M4),
            *(E2M3, E3M2, E2M1, E8M0, FP16, BF16),
        )
    }
)
"""Every ready format by name."""

_ALIASES = {
    "e4m3": "E4M3FN",
    "float8_e4m3fn": "E4M3FN",
    "float8_e5m2": "E5M2",
    "float8_e4m3fnuz": "E4M3FNUZ",
    "float8_e5m2fnuz": "E5M2FNUZ",
    "float8_e8m0fnu": "E8M0",
    "float16": "FP16",
    "half": "FP16",
    "bfloat16": "BF16",
}


def get(name: str) -> Format:
    """Find a ready format by name, in any case; torch's dtype names work too.

    "e4m3" alone means the OCP format (E4M3FN); the IEEE-style one is "e4m3_ieee".

    Raises:
        InputError: if there is no such format; names the nearest one.
    """
    by_lower = {known.lower(): fmt for known, fmt in ALL.items()}
    by_lower |= {alias: ALL[target] for alias, target in _ALIASES.items()}
    wanted = name.strip().lower()
    if wanted in by_lower:
        return by_lower[wanted]
    near = get_close_matches(wanted, by_lower, n=1, cutoff=0.0)[0]
    raise InputError(
        f"unknown format {name!r}: did you mean {by_lower[near].name}? Known: {', '.join(ALL)}"
    )
