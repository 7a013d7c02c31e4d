"""A third part, to be measured once: 22 families that no other part has, right and wrong.

Whoever wrote it had read neither the check nor its reports, and no check had judged a case of it.
What only a norm follows may have any size: a multiplier there is a healthy rewrite, and a wrong
init is the same fault as a wrong rate. A clip is a fault only where a readout dominates the
gradient's norm, for that of hidden matrices does not change with width.
"""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.fresh import faults, healthy


def cases() -> Iterator[Case]:
    """All of the fresh split."""
    yield from healthy.cases(Split.FRESH)
    yield from faults.cases(Split.FRESH)
