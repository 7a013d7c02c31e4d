"""One fault under several optimizers: a healthy recipe with one thing wrong, as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.verdicts.case import Case, Fault, Split
from benchmarks.verdicts.recipe import Edit, Family, Recipe
from benchmarks.verdicts.variants import case, narrower_under_muon

#: An edit's `what` → the cause to be named; any other is a multiplier.
CAUSES = {
    "lr": "learning rate",
    "init": "init",
    "eps": "epsilon",
    "weight_decay": "weight decay",
    "gradient": "gradient",
    "scale": "attention scale",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One fault under several optimizers.

    Attributes:
        name: in the names of its cases.
        family: that it is planted in.
        optimizers: each gives a case.
        edits: the fault.
        besides: edits that are no fault: what is right for the family.
        tensors: at fault, as patterns; by default where the first edit is.
        causes: cause → power; by default what the first edit says.
        also: other tensors that may be named as rightly.
        invisible: why a short run cannot see it.
        source: the public issue or pull request that it replays.
        recipe: other fields of the recipe.
    """

    name: str
    family: Family
    optimizers: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    besides: tuple[Edit, ...] = ()
    tensors: tuple[str, ...] = ()
    causes: Mapping[str, float] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    invisible: str = ""
    source: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def cases(self, split: Split, *, widest_under_muon: bool = True) -> Iterator[Case]:
        """A case for each optimizer; Muon, which is slow, may go without the widest model."""
        tensors = self.tensors or self.edits[0].where
        causes = self.causes or {
            CAUSES.get(change.what, "multiplier"): change.power for change in self.edits[:1]
        }
        fault = Fault(
            tensors=tensors,
            causes=causes,
            also=self.also,
            invisible=self.invisible,
            source=self.source,
        )
        for optimizer in self.optimizers:
            narrower = narrower_under_muon(self.family, optimizer)
            recipe = Recipe(
                family=self.family if widest_under_muon else narrower,
                optimizer=optimizer,
                edits=(*self.besides, *self.edits),
                **self.recipe,
            )
            yield case(recipe, self.name, split=split, fault=fault, notes=self.source)


def plant(family: Family, name: str, optimizers: str, *edits: Edit, **more: Any) -> Plant:
    """Short for `Plant`; optimizers separated by blanks."""
    return Plant(
        family=family, name=name, optimizers=tuple(optimizers.split()), edits=edits, **more
    )
