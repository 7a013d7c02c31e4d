"""A fourth part, to be measured once: 25 more families that no other part has, right and wrong.

Whoever wrote it had read neither the check nor its reports, and no check had judged a case of it.
Beside multipliers, its rewrites move powers of width between layers that have none: queries and
keys, the two sides of a ReLU, a norm's gain and what it feeds. What only a norm follows may have
any size; there a wrong init is the same fault as a wrong rate. Four cases scale all gradients: the
weights move as before, though a loss change that is read off the gradients has the factor too.
"""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.last import healthy, rates, sizes


def cases() -> Iterator[Case]:
    """All of the last split."""
    yield from healthy.cases(Split.LAST)
    for each in (*rates.plants(), *sizes.plants()):
        yield from each.cases(Split.LAST, widest_under_muon=False)
