"""Right variants that any family can have: tables, settings, rewrites that compute the same."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.recipe import Edit, Family, Place, Recipe, edit, parameters
from benchmarks.verdicts.rules import UMUP, Role, Table

Where = str | tuple[str, ...]

#: Where people put the readout's multiplier.
READOUT_PLACES: Mapping[str, dict[str, Place]] = {
    "readout-input": {"head": ("", "input_multiplier")},
    "readout-output": {"head": ("", "output_multiplier")},
    "readout-loss": {"head": ("", "loss_multiplier")},
}


def case(
    recipe: Recipe, variant: str = "", *, split: Split = Split.DEV, notes: str = "", **more: Any
) -> Case:
    """A recipe as a case, named after its family, optimizer and variant."""
    name = "-".join(part for part in (recipe.family.name, recipe.optimizer, variant) if part)
    fields: dict[str, Any] = {
        "name": name,
        "split": split,
        "family": recipe.family.name,
        "optimizer": recipe.optimizer,
        "asked": recipe.choice.asked,
        "subject": lambda: recipe.subject(f"benchmarks.verdicts:{name}"),
        "widths": recipe.family.widths,
        "expected": recipe.family.expected,
        "notes": notes or recipe.family.why,
    }
    return Case(**{**fields, **more})


@cache
def narrower_under_muon(family: Family, optimizer: str) -> Family:
    """The family; orthogonalising is slow, and under Muon the widest model is left out."""
    if "muon" not in optimizer:
        return family
    return replace(family, widths=tuple(width for width in family.widths if width < 512))


def lean(family: Family, optimizer: str, *edits: Edit, **more: Any) -> Recipe:
    """A recipe at the widths of `narrower_under_muon`."""
    narrower = narrower_under_muon(family, optimizer)
    return Recipe(family=narrower, optimizer=optimizer, edits=edits, **more)


def rate_power(optimizer: str, power: float) -> float:
    """Of the rate, for a tensor whose size has that power: a gradient is as 1/size."""
    return 2 * power if optimizer in ("sgd", "momentum") else power


def rewrite(where: str, theta: float, optimizer: str) -> tuple[Edit, ...]:
    """The same function and training: init ÷ r^θ, multiplier × r^θ, and the rate to match."""
    return (
        edit(where, "init", -theta),
        edit(where, "multiplier", theta),
        edit(where, "lr", rate_power(optimizer, -theta)),
    )


def resized(where: Where, power: float, optimizer: str) -> tuple[Edit, ...]:
    """A tensor of another size, that moves and decays by the same share of it."""
    rate = rate_power(optimizer, power)
    return (
        edit(where, "init", power),
        edit(where, "lr", rate),
        edit(where, "weight_decay", -rate),
    )


def plain(optimizers: Mapping[Family, str], split: Split) -> Iterator[Case]:
    """Each family under its optimizers, separated by blanks."""
    for family, names in optimizers.items():
        for optimizer in names.split():
            yield case(lean(family, optimizer), split=split)


def by_table(
    variant: str, table: Table, rows: Iterable[tuple[Family, str]], split: Split
) -> Iterator[Case]:
    """Each family under its optimizer, by another table of rules."""
    for family, optimizer in rows:
        yield case(lean(family, optimizer, table=table), variant, split=split)


def u_mup(family: Family, split: Split) -> Case:
    """By u-µP's table, and held to u-µP."""
    inputs = {name: (-0.8, -0.2) for name, p in parameters(family).items() if p.role is Role.INPUT}
    return case(
        Recipe(family=family, optimizer="adamw", table=UMUP, target="umup"),
        "u-mup",
        split=split,
        expected={**inputs, **family.expected},
        notes="the embedding's rate falls as n^-½ by design, and its loss change with it",
    )


def zero_readouts(
    rows: Iterable[tuple[Family, tuple[str, ...], str]], split: Split
) -> Iterator[Case]:
    """Each family with what its patterns name initialised to zero, under an optimizer."""
    for family, zero, optimizer in rows:
        yield case(
            lean(family, optimizer, zero=zero),
            "zero-readout",
            split=split,
            notes="at the first update only what starts at zero and its bias have a gradient",
        )


def scaled_epsilon(family: Family, split: Split) -> Case:
    """Adam's ε as a power of width that undoes its effect."""
    return case(
        Recipe(family=family, optimizer="adam", eps=1e-2, edits=(edit("*", "eps", -1.0),)),
        "scaled-epsilon",
        split=split,
        notes="ε is larger than the gradients, and falls with width as they do",
    )


def strong_decay(family: Family, split: Split, *, notes: str = "") -> Case:
    """A hundred times the usual weight decay."""
    recipe = Recipe(family=family, optimizer="adamw", weight_decay=10.0)
    return case(recipe, "strong-decay", split=split, notes=notes)


def clipped(family: Family, split: Split) -> Case:
    """Gradients cut before AdamW, which does not look at their size."""
    recipe = Recipe(family=family, optimizer="own-adamw", clip=0.1)
    return case(recipe, "clipped", split=split)
