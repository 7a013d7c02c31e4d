"""Where something is measured, and who hears of its progress."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    """Hears of progress: of what, how much is done, of how much."""

    def __call__(self, label: str, done: int, total: int, /) -> None:
        """Report progress."""
        ...


def silent(label: str, done: int, total: int, /) -> None:
    """Ignore progress."""


def unheard(line: str, /) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where a recording is made.

    Attributes:
        out: folder of the recording.
        progress: called as the measurement moves on.
        resume: whether to go on with the recording that is in `out`.
        say: called with a line for the user, of what is found while it is measured.
    """

    out: Path
    progress: Progress = silent
    resume: bool = False
    say: Callable[[str], None] = unheard
