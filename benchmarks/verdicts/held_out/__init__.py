"""Families, faults and combinations that nobody who tunes a verdict looks at until the end."""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.held_out import faults, healthy


def cases() -> Iterator[Case]:
    """All of the held-out split."""
    yield from healthy.cases(Split.HELD_OUT)
    yield from faults.cases(Split.HELD_OUT)
