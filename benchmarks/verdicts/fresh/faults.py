"""Planted faults of the fresh families."""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.fresh import rates, sizes


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    for plants in (rates.plants(), sizes.plants()):
        for each in plants:
            yield from each.cases(split, widest_under_muon=False)
