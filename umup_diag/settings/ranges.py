"""Values of parameters, as in ``alpha=1/8..8 s=64,128``, and the grid that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import isclose, log2, prod
from typing import Any

from umup_diag.errors import InputError, short
from umup_diag.settings.values import fraction

Values = tuple[float, ...]
MAX_POINTS = 10_000


def parse_number(text: str) -> Fraction:
    """A positive number: ``64``, ``0.5`` or ``1/8``.

    Raises:
        InputError: if it is not one.
    """
    try:
        number = fraction(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a number (64, 0.5 and 1/8 are).") from error
    if number <= 0:
        raise InputError(f"{text!r} must be positive: it is varied on a log scale.")
    return number


def parse_values(text: str) -> Values:
    """One parameter's values: ``A..B`` doubles, ``A..B:N`` has N geometric points, ``A,B,C`` lists.

    Whole numbers stay ``int`` when all of them are, so that an op can use them as sizes.

    Raises:
        InputError: if it is none of these.
    """
    first, dots, rest = text.partition("..")
    if not dots:
        numbers = [parse_number(part) for part in text.split(",")]
    else:
        last, colon, count_text = rest.partition(":")
        low, high = parse_number(first), parse_number(last)
        if high <= low:
            raise InputError(f"{text!r} must rise; write the smaller end first.")
        if colon:
            return _geometric(float(low), float(high), count_text)
        steps = log2(high / low)
        if not isclose(steps, round(steps), abs_tol=1e-9):
            raise InputError(
                f"doubling from {first} does not meet {last}; write {text}:N for N points."
            )
        numbers = [low * 2**i for i in range(round(steps) + 1)]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{text!r} repeats a value.")
    if all(number.denominator == 1 for number in numbers):
        return tuple(int(number) for number in numbers)
    return tuple(float(number) for number in numbers)


def _geometric(low: float, high: float, count_text: str) -> Values:
    is_count = count_text.isdecimal() and len(count_text) <= len(str(MAX_POINTS))
    if not is_count or not 2 <= int(count_text) <= MAX_POINTS:
        raise InputError(f"{count_text[:40]!r} is not a number of points, 2 to {MAX_POINTS}.")
    steps = int(count_text) - 1
    return tuple(low * (high / low) ** (i / steps) for i in range(steps + 1))


def parse_over(tokens: Sequence[str]) -> dict[str, Values]:
    """``NAME=VALUES`` tokens as a mapping, in order.

    Raises:
        InputError: if one is not of that form, or a name comes twice.
    """
    over: dict[str, Values] = {}
    for token in tokens:
        if not isinstance(token, str):
            raise InputError(f"{short(token)} is not text such as NAME=A..B.")
        name, equals, values = token.partition("=")
        if not equals or not name.isidentifier() or not values:
            raise InputError(f"{token!r} is not NAME=A..B, NAME=A,B,C or NAME=VALUE.")
        if name in over:
            raise InputError(f"{name!r} is named twice.")
        over[name] = parse_values(values)
    return over


def grid_points(over: Mapping[str, Values]) -> list[dict[str, float]]:
    """Every combination of the parameters' values; of no parameter, one point.

    Raises:
        InputError: if there are more than `MAX_POINTS`.
    """
    size = prod(len(values) for values in over.values())
    if size > MAX_POINTS:
        raise InputError(f"--over makes {size} grid points; {MAX_POINTS} are allowed.")
    return [dict(zip(over, values, strict=True)) for values in product(*over.values())]


@dataclass(frozen=True, slots=True)
class Grid:
    """Parameters and their values, as a type of setting."""

    def parse(self, text: str) -> str:
        """One token, still as text: `convert` reads all of them together."""
        return text

    def convert(self, value: Any) -> dict[str, Values]:
        """From tokens of a command line, or from a table: ``over = {alpha = "1/8..8"}``."""
        try:
            if isinstance(value, list | tuple):
                return parse_over(value)
            if not isinstance(value, dict):
                raise ValueError('write a table, as in over = {alpha = "1/8..8", s = [64, 128]}')
            return {name: self._values(values) for name, values in value.items()}
        except InputError as error:
            raise ValueError(str(error)) from None

    @staticmethod
    def _values(values: Any) -> Values:
        several = list(values) if isinstance(values, list | tuple) else [values]
        numbers = parse_values(",".join(map(str, several)))
        is_float = any(isinstance(each, float) for each in several)
        return tuple(map(float, numbers)) if is_float else numbers


GRID = Grid()
