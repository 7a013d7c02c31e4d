"""Tables of number formats: their limits, and what one value becomes in each."""

import math
from typing import Literal

from rich.table import Table

from umup_diag.numerics import formats
from umup_diag.numerics.formats import Format, Overflow
from umup_diag.numerics.rounding import Rounding, round_to_format

_COLUMNS = (
    *("format", "bits", "E", "M", "bias", "max", "min normal", "smallest"),
    *("overflows from", "zero up to", "NaN", "Inf"),
)


def formats_table() -> Table:
    """Every ready format with its limits; those of rounding are for nearest even."""
    table = Table(title="Number formats")
    for column in _COLUMNS:
        is_name = column == "format"  # never broken: it is what one types
        justify: Literal["left", "right"] = "left" if is_name else "right"
        table.add_column(column, justify=justify, no_wrap=is_name, overflow="fold")
    for fmt in formats.ALL.values():
        edge = "" if fmt.threshold_overflows else "> "
        table.add_row(
            fmt.name,
            *(str(n) for n in (fmt.bits, fmt.exponent_bits, fmt.mantissa_bits, fmt.bias)),
            *(_number(x) for x in (fmt.max, fmt.min_normal, fmt.smallest_subnormal)),
            edge + _number(fmt.overflow_threshold),
            _number(fmt.flush_threshold) if fmt.flush_threshold else "–",
            *(str(len(codes)) for codes in (fmt.nan_codes, fmt.inf_codes)),
        )
    return table


def value_table(value: float) -> Table:
    """What a number becomes in every ready format: three roundings that saturate, and without.

    Args:
        value: any float.
    """
    table = Table(title=f"{value:.9g} becomes")
    table.add_column("format")
    for column in ("nearest even", "nearest away", "toward zero", "not saturating", "error"):
        table.add_column(column, justify="right")
    for fmt in formats.ALL.values():
        even = round_to_format(value, fmt)
        away = round_to_format(value, fmt, rounding=Rounding.NEAREST_AWAY)
        down = round_to_format(value, fmt, rounding=Rounding.TOWARD_ZERO)
        numbers = (_number(x) for x in (even, away, down))
        table.add_row(fmt.name, *numbers, _unsaturated(value, fmt), _relative(even, value))
    return table


def _unsaturated(value: float, fmt: Format) -> str:
    if fmt.overflow is Overflow.SATURATE:
        return "–"
    return _number(round_to_format(value, fmt, overflow=fmt.overflow))


def _relative(got: float, value: float) -> str:
    if not math.isfinite(got) or not math.isfinite(value) or value == 0:
        return "–"
    return f"{(got - value) / value:+.2%}"


def _number(x: float) -> str:
    """Short and exact where a power of two is shorter than digits."""
    fraction, exponent = math.frexp(abs(x)) if math.isfinite(x) else (0.0, 0)
    if fraction == 0.5 and not 1e-3 < abs(x) < 1e6:
        return f"{'-' if x < 0 else ''}2^{exponent - 1}"
    return f"{x:.7g}"
