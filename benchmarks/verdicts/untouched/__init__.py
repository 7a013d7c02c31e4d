"""A second part that nobody who tunes a verdict reads: other kinds of models, right and wrong.

22 families and LoRA. Where the table alone does not settle what is right: LoRA's first thin matrix
starts like a hidden one and learns like a readout without a multiplier (started at 1/width, the
second one's first gradient would fall with width), and the variational autoencoder's code grows
with width, as microsoft/mup#9 advises. What healthy models show beyond ±0.25 is in each family's
`expected`, derived and held by `selfcheck`.
"""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.untouched import faults, healthy


def cases() -> Iterator[Case]:
    """All of the untouched split."""
    yield from healthy.cases(Split.UNTOUCHED)
    yield from faults.cases(Split.UNTOUCHED)
