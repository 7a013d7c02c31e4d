"""Correct µP models of the held-out families."""

from collections.abc import Iterator

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.healthy import EVERY_OPTIMIZER
from benchmarks.verdicts.held_out.families import FAMILIES, REGRESSION, STATE_SPACE
from benchmarks.verdicts.recipe import Recipe
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3
from benchmarks.verdicts.variants import case


def cases(split: Split) -> Iterator[Case]:
    """Each family under each optimizer, and two rewrites."""
    for family in FAMILIES:
        for optimizer in EVERY_OPTIMIZER:
            yield case(Recipe(family=family, optimizer=optimizer), split=split)
        for optimizer in ("adamw", "sgd"):
            recipe = Recipe(family=family, optimizer=optimizer, table=TABLE_3)
            yield case(recipe, "table-3", split=split)
    for family in (STATE_SPACE, REGRESSION):
        for optimizer in ("adam", "momentum", "muon"):
            recipe = Recipe(family=family, optimizer=optimizer, table=MEAN_FIELD)
            yield case(recipe, "mean-field", split=split)
