"""Every case of the benchmark, in one table."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module

from benchmarks.verdicts.case import Case, Split

#: Each is imported only if asked for: nobody who tunes a verdict reads more than the first.
PARTS = {
    Split.DEV: "benchmarks.verdicts.dev",
    Split.HELD_OUT: "benchmarks.verdicts.held_out",
    Split.UNTOUCHED: "benchmarks.verdicts.untouched",
    Split.FRESH: "benchmarks.verdicts.fresh",
    Split.LAST: "benchmarks.verdicts.last",
}


@cache
def _all(split: Split) -> tuple[Case, ...]:
    return tuple(import_module(PARTS[split]).cases())


def cases(split: Split | str | None = None) -> list[Case]:
    """All cases, or those of one split."""
    splits = Split if split is None else (Split(split),)
    return [case for each in splits for case in _all(each)]


def find(name: str) -> Case | None:
    """The case of that name; those that are held out are looked through last."""

    def everything() -> Iterator[Case]:
        for split in Split:
            yield from _all(split)

    return next((case for case in everything() if case.name == name), None)
