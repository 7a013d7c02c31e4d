"""Ranges that a user accepts for a tensor, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from umup_diag.errors import InputError
from umup_diag.settings.nearest import missing, nearest
from umup_diag.settings.values import EntryError

_KEYS = ("tensor", "kind", "range", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleException:
    """A range that a user has accepted for a tensor, with the reason.

    Attributes:
        tensor: name or pattern, as in ``layers.*.attention.q``.
        kind: of tensor; None for every kind of that tensor.
        low: smallest RMS.
        high: largest.
        reason: why.
    """

    tensor: str
    kind: str | None = None
    low: float
    high: float
    reason: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise InputError(
                f"exception {self.name}: the range [{self.low:g}, {self.high:g}] is empty or "
                "negative; give the smallest RMS, then the largest."
            )

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.tensor}:{self.kind}" if self.kind else self.tensor

    def covers(self, tensor: str, kind: str) -> bool:
        """Whether it is about this tensor and kind."""
        return self.kind in (None, kind) and fnmatchcase(tensor, self.tensor)


@dataclass(frozen=True, slots=True)
class Exceptions:
    """``[[exceptions]]`` of a plan, as a type of setting."""

    def parse(self, text: str) -> Any:
        """There is no such option."""
        raise ValueError(f"{text!r}: exceptions are written in a plan")

    def convert(self, value: Any) -> tuple[ScaleException, ...]:
        """From tables of TOML, from what a recording kept, or as they are.

        Raises:
            EntryError: naming the key and the exception that is wrong.
        """
        if not isinstance(value, list | tuple):
            raise ValueError("write each exception as a table of its own, under [[exceptions]]")
        return tuple(_exception(entry, index) for index, entry in enumerate(value))


EXCEPTIONS = Exceptions()


def _exception(entry: Any, index: int) -> ScaleException:
    def wrong(message: str, key: str) -> EntryError:
        return EntryError(message, key=key, index=index)

    if isinstance(entry, ScaleException):
        return entry
    if not isinstance(entry, Mapping):
        raise ValueError("write each exception as a table of its own, under [[exceptions]]")
    if "low" in entry and "high" in entry:  # as a recording keeps it
        return ScaleException(**entry)
    for name in entry:
        if name not in _KEYS:
            raise wrong(f"there is no key {name!r}{nearest(name, _KEYS)}.", name)
    for name in ("tensor", "range", "reason"):
        if name not in entry:
            raise wrong(f"the key {name} is missing.{missing(entry, _KEYS)}", name)
    for name in ("tensor", "reason", "kind"):
        if name in entry and not (isinstance(entry[name], str) and entry[name].strip()):
            raise wrong(f"{name} is a string that says something.", name)
    ends = entry["range"]
    numbers = isinstance(ends, list) and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in ends
    )
    if not (numbers and len(ends) == 2 and 0 <= ends[0] <= ends[1]):
        raise wrong("range is [smallest RMS, largest RMS].", "range")
    return ScaleException(
        tensor=entry["tensor"],
        kind=entry.get("kind"),
        low=float(ends[0]),
        high=float(ends[1]),
        reason=entry["reason"],
    )
