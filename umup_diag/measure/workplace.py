"""Where something is measured, and who is told how far it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    """Told how far something is: what, how much of it is done, of how much."""

    def __call__(self, label: str, done: int, total: int, /) -> None:
        """Say it."""
        ...


def silent(label: str, done: int, total: int, /) -> None:
    """The progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where a recording is made.

    Attributes:
        out: folder of the recording.
        progress: told how far it is.
        resume: whether to go on with the recording that is in `out`.
    """

    out: Path
    progress: Progress = silent
    resume: bool = False
