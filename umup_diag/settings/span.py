"""A range of one positive number, ``1e-4..1e-1``; a single value is a range without extent."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from umup_diag.settings.values import fraction

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SpanType:
    """Its ends, as a type of setting."""

    name: str = "range"

    def parse(self, text: str) -> Span:
        """``A..B``, or one value; fractions such as ``1/8`` will do."""
        first, dots, last = text.partition("..")
        return self.convert([_number(first), _number(last)] if dots else [_number(first)] * 2)

    def convert(self, value: Any) -> Span:
        """From text, one number, or both ends."""
        if isinstance(value, str):
            return self.parse(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = [value, value]
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError('write a value, or a range as in "1e-4..1e-1"')
        low, high = map(float, value)
        if not (isfinite(low) and isfinite(high)) or low <= 0:
            raise ValueError("a range is of positive numbers: it is searched on a log scale.")
        if high < low:
            raise ValueError(f"{low:g}..{high:g} must rise; write the smaller end first.")
        return low, high


def _number(text: str) -> float:
    try:
        return float(fraction(text))
    except ValueError:
        raise ValueError(f"{text!r} is neither a number nor a range like 1e-4..1e-1.") from None


SPAN = SpanType()
