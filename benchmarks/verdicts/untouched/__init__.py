"""A second part that nobody who tunes a verdict reads: other kinds of models, right and wrong."""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.untouched import faults, healthy


def cases() -> Iterator[Case]:
    """All of the untouched split."""
    yield from healthy.cases(Split.UNTOUCHED)
    yield from faults.cases(Split.UNTOUCHED)
