"""The types of settings: from text on a command line, and from a value in TOML or in Python."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any, Protocol


class ValueType(Protocol):
    """How one setting is written."""

    def parse(self, text: str) -> Any:
        """From the command line; raises ValueError saying what would do."""
        ...

    def convert(self, value: Any) -> Any:
        """From a value of TOML or Python, or from one that was converted before.

        Raises:
            ValueError: saying what would do.
        """
        ...


class EntryError(ValueError):
    """What is wrong with one entry of a list of tables, and where.

    Attributes:
        key: of the entry that is wrong.
        index: of the entry, from 0.
    """

    def __init__(self, message: str, *, key: str, index: int) -> None:
        super().__init__(message)
        self.key, self.index = key, index


_FARTHEST = 10**100  #: of a number in a range: ratios of two are floats still
_LONG_EXPONENT = re.compile(r"[eE][+-]?\d{4}")


def fraction(text: str) -> Fraction:
    """A number of a range: ``64``, ``0.5``, ``1e-4`` or ``1/8``.

    Raises:
        ValueError: if it is none, or is beyond 1e100 or its inverse.
    """
    far = f"{text[:40]} is beyond 1e-100 … 1e100"
    if _LONG_EXPONENT.search(text):  # Fraction would write all the digits out
        raise ValueError(far)
    try:
        number = Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text} divides by zero") from None
    if number and not Fraction(1, _FARTHEST) <= abs(number) <= _FARTHEST:
        raise ValueError(far)
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number between bounds that may be met."""

    at_least: int | None = None
    at_most: int | None = None

    def parse(self, text: str) -> int:
        """Of digits."""
        return self.convert(int(text))

    def convert(self, value: Any) -> int:
        """TOML has types: 4.7 is no count, and true is no number."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("write a whole number")
        _require(value, self.at_least, self.at_most, is_open=False)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number between bounds; `is_open` leaves the lower one out."""

    at_least: float | None = None
    at_most: float | None = None
    is_open: bool = False

    def parse(self, text: str) -> float:
        """As Python writes it."""
        return self.convert(float(text))

    def convert(self, value: Any) -> float:
        """A float, also from a whole number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError("write a number")
        _require(value, self.at_least, self.at_most, is_open=self.is_open)
        return float(value)


@dataclass(frozen=True, slots=True)
class Text:
    """Any text."""

    def parse(self, text: str) -> str:
        """As it is."""
        return text

    def convert(self, value: Any) -> str:
        """As it is."""
        if not isinstance(value, str):
            raise ValueError("write a string")
        return value


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path."""

    def parse(self, text: str) -> Path:
        """As it is."""
        return Path(text)

    def convert(self, value: Any) -> Path:
        """From a string."""
        if not isinstance(value, str | Path) or not str(value):
            raise ValueError("write a string")
        return Path(value)


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no; on a command line, there or not."""

    def parse(self, text: str) -> bool:
        """``true`` or ``false``."""
        if text not in ("true", "false"):
            raise ValueError("write true or false")
        return text == "true"

    def convert(self, value: Any) -> bool:
        """As it is."""
        if not isinstance(value, bool):
            raise ValueError("write true or false")
        return value


@dataclass(frozen=True, slots=True)
class Several:
    """A list; on a command line, the option again and again."""

    of: ValueType

    def parse(self, text: str) -> Any:
        """One of them."""
        return self.of.parse(text)

    def convert(self, value: Any) -> tuple[Any, ...]:
        """All of them."""
        if not isinstance(value, list | tuple):
            raise ValueError("write a list")
        return tuple(map(self.of.convert, value))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of TOML, or a mapping; on a command line, ``name=value`` again and again."""

    name = "name=value"

    def parse(self, text: str) -> dict[str, Any]:
        """One entry: its value is as in TOML (``8``, ``0.5``, ``true``), else a bare word."""
        name, equals, written = text.partition("=")
        if not (name.isidentifier() and equals and written):
            raise ValueError(f"{text!r} is not like depth=8.")
        try:
            return {name: tomllib.loads(f"value = {written}")["value"]}
        except tomllib.TOMLDecodeError:
            return {name: written}

    def convert(self, value: Any) -> dict[str, Any]:
        """A copy, or what several entries make together."""
        if isinstance(value, tuple):
            return {name: one for entry in value for name, one in self.convert(entry).items()}
        if not isinstance(value, dict):
            raise ValueError("write a table, as in build = {depth = 8}")
        return dict(value)

    @staticmethod
    def words(value: Mapping[str, Any]) -> list[str]:
        """The entries as `parse` reads them."""
        plain = {True: "true", False: "false"}
        return [
            f"{name}={plain[one] if isinstance(one, bool) else one}" for name, one in value.items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Numbers in a notation of their own, such as ``128..1024``; a list does as well.

    Attributes:
        name: in usage lines.
        read: from text; raises ValueError.
        of: type of the converted value, which is taken as it is.
    """

    name: str
    read: Callable[[str], Any]
    of: type = tuple

    def parse(self, text: str) -> Any:
        """As `read` does."""
        return self.read(text)

    def convert(self, value: Any) -> Any:
        """From text, one number, or a list of numbers."""
        if isinstance(value, bool | float | dict):
            raise ValueError("write it as on the command line, or as a list")
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        return self.read(str(value))


def _require(value: float, at_least: float | None, at_most: float | None, *, is_open: bool) -> None:
    below = at_least is not None and (value <= at_least if is_open else value < at_least)
    above = value == inf if at_most is None else value > at_most
    if below or above or value != value:
        low = "" if at_least is None else f"{at_least}{'<' if is_open else '<='}"
        range_ = (
            f"{low}x<={at_most}"
            if at_most is not None
            else f"x{'>' if is_open else '>='}{at_least}"
        )
        raise ValueError(f"{value} is not in the range {range_}.")


def widths(text: str) -> tuple[int, ...]:
    """``128..4096`` doubles from one to the other; ``128,192,256`` is the list; ascending.

    Raises:
        ValueError: saying what would do.
    """
    return sizes(text, "width", "like 128..4096 nor like 128,256,512")


def sizes(text: str, noun: str, alike: str) -> tuple[int, ...]:
    """Two or more whole numbers in the notation of `widths`.

    Args:
        text: to read.
        noun: what each of them is.
        alike: how they could have been written, after "neither".

    Raises:
        ValueError: saying what would do.
    """
    try:
        first, dots, last = text.partition("..")
        found = _doubling(int(first), int(last)) if dots else list(map(int, text.split(",")))
    except ValueError:
        raise ValueError(f"{text!r} is neither {alike}.") from None
    if not found:
        raise ValueError(
            f"{text!r} has no {noun}s: write the smaller first, and the larger as that times a "
            "power of two."
        )
    if min(found) < 1:
        raise ValueError(f"{text!r}: a {noun} is at least 1.")
    if len(set(found)) < 2:
        raise ValueError(f"{text!r} is one {noun}; a slope takes two or more.")
    return tuple(sorted(set(found)))


def depths(text: str) -> tuple[int, ...]:
    """The same of depths.

    Raises:
        ValueError: saying what would do.
    """
    return sizes(text, "depth", "like 2..64 nor like 2,4,8")


def _doubling(first: int, last: int) -> list[int]:
    if first < 1:
        return [first]
    found = [first]
    while found[-1] < last:
        found.append(2 * found[-1])
    return found if found[-1] == last else []


def width_list(text: str) -> tuple[int, ...]:
    """``256``, or several as ``128,512``; ascending.

    Raises:
        ValueError: saying what would do.
    """
    try:
        found = [int(width) for width in text.split(",")]
    except ValueError:
        raise ValueError(f"{text!r} is neither like 256 nor like 128,512.") from None
    if min(found) < 1:
        raise ValueError(f"{text!r}: a width is at least 1.")
    return tuple(sorted(set(found)))


WIDTHS = Written(name="widths", read=widths)
DEPTHS = Written(name="depths", read=depths)
WIDTH_LIST = Written(name="width", read=width_list)
