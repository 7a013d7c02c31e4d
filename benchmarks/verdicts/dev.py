"""The split that a verdict may be tuned on."""

from collections.abc import Iterator

from benchmarks.verdicts import healthy, mup_package, planted, real
from benchmarks.verdicts.case import Case


def cases() -> Iterator[Case]:
    """All of the dev split."""
    yield from healthy.cases()
    yield from planted.cases()
    yield from real.cases()
    yield from mup_package.cases()
