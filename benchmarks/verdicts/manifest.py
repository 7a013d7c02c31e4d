"""Every case of the benchmark, in one table."""

from collections.abc import Iterator
from functools import cache

from benchmarks.verdicts import faults, healthy
from benchmarks.verdicts.case import Case, Split


@cache
def _all(split: Split) -> tuple[Case, ...]:
    if split is Split.DEV:
        return (*healthy.cases(), *faults.cases())
    from benchmarks.verdicts import held_out  # read by nobody who tunes

    return tuple(held_out.cases())


def cases(split: Split | str | None = None) -> list[Case]:
    """All cases, or those of one split; the held-out modules are imported only if asked for."""
    splits = Split if split is None else (Split(split),)
    return [case for each in splits for case in _all(each)]


def find(name: str) -> Case | None:
    """The case of that name; held-out ones are looked through last."""

    def everything() -> Iterator[Case]:
        for split in Split:
            yield from _all(split)

    return next((case for case in everything() if case.name == name), None)
