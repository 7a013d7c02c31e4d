"""Correct µP models: each family under each optimizer, and abc-symmetric rewrites of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.families import (
    cnn,
    gpt2,
    gqa,
    hugging_face,
    linear_attention,
    looped,
    mlp,
    moe,
    tied,
    torch_encoder,
)
from benchmarks.verdicts.recipe import Edit, Family, Place, Recipe, edit, parameters
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3, TABLE_9, UMUP, Role

FAMILIES = (
    gpt2.FAMILY,
    tied.FAMILY,
    mlp.FAMILY,
    cnn.BATCH_NORM,
    cnn.GROUP_NORM,
    gqa.MORE_HEADS,
    gqa.WIDER_HEADS,
    moe.FAMILY,
    linear_attention.FAMILY,
    looped.FAMILY,
    torch_encoder.FAMILY,
    hugging_face.GPT2,
    hugging_face.LLAMA,
)
EVERY_OPTIMIZER = ("adam", "adamw", "sgd", "momentum", "muon", "muon-kimi")

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


def rewrite(where: str, theta: float, optimizer: str) -> tuple[Edit, ...]:
    """The same function and training: init ÷ r^θ, multiplier × r^θ, and the rate to match."""
    squared = optimizer in ("sgd", "momentum")
    return (
        edit(where, "init", -theta),
        edit(where, "multiplier", theta),
        edit(where, "lr", -2 * theta if squared else -theta),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrites:
    """A family whose layers have multipliers, and names that its rewrites need.

    Attributes:
        family: the model.
        places: of `READOUT_PLACES` that its code has.
        layers: two patterns of layers whose factors are moved in opposite ways.
    """

    family: Family
    places: tuple[str, ...]
    layers: tuple[str, str]


_EVERYWHERE = tuple(READOUT_PLACES)
REWRITES = (
    Rewrites(family=gpt2.FAMILY, places=_EVERYWHERE, layers=("*.qkv", "*.down")),
    Rewrites(
        family=mlp.FAMILY, places=("readout-input", "readout-loss"), layers=("first", "third")
    ),
    Rewrites(
        family=cnn.GROUP_NORM, places=("readout-input", "readout-loss"), layers=("stem", "conv")
    ),
    Rewrites(family=gqa.MORE_HEADS, places=_EVERYWHERE, layers=("*.v", "*.gate")),
    Rewrites(
        family=moe.FAMILY, places=("readout-output", "readout-loss"), layers=("*.mix", "*.up")
    ),
    Rewrites(family=linear_attention.FAMILY, places=_EVERYWHERE, layers=("*.k", "*.out")),
    Rewrites(family=looped.FAMILY, places=_EVERYWHERE, layers=("*.up", "embedding")),
)


def _tables(family: Family) -> Iterator[Case]:
    for optimizer in ("adam", "sgd", "muon"):
        yield case(Recipe(family=family, optimizer=optimizer, table=TABLE_3), "table-3")
        yield case(Recipe(family=family, optimizer=optimizer, table=MEAN_FIELD), "mean-field")
    for optimizer in ("adamw", "momentum"):
        yield case(Recipe(family=family, optimizer=optimizer, table=TABLE_9), "table-9")
    inputs = {name: (-0.8, -0.2) for name, p in parameters(family).items() if p.role is Role.INPUT}
    yield case(
        Recipe(family=family, optimizer="adamw", table=UMUP, target="umup"),
        "u-mup",
        expected={**inputs, **family.expected},
        notes="the embedding's rate falls as n^-½ by design, and its loss change with it",
    )


def _bias_in_loss(family: Family, optimizer: str) -> tuple[Edit, ...]:
    """A multiplier in the loss is the readout's bias's too, whose rate must make up for it."""
    if "head.bias" not in parameters(family):
        return ()
    return (edit("head.bias", "lr", 2.0 if optimizer in ("sgd", "momentum") else 1.0),)


def _rewrites(rewrites: Rewrites) -> Iterator[Case]:
    family = rewrites.family
    yield from _tables(family)
    for place in rewrites.places:
        for optimizer in ("adam", "sgd"):
            recipe = Recipe(
                family=family,
                optimizer=optimizer,
                places=READOUT_PLACES[place],
                edits=_bias_in_loss(family, optimizer) if place == "readout-loss" else (),
            )
            yield case(recipe, place)
    for optimizer in ("adam", "momentum", "muon-kimi"):
        yield case(
            Recipe(family=family, optimizer=optimizer, zero=("head",)),
            "zero-readout",
            notes="at the first update only the readout has a gradient",
        )
    for optimizer in ("adam", "sgd", "muon"):
        up, down = rewrites.layers
        edits = (*rewrite(up, 0.5, optimizer), *rewrite(down, -0.5, optimizer))
        yield case(Recipe(family=family, optimizer=optimizer, edits=edits), "moved-factors")


def _other() -> Iterator[Case]:
    """Training that must not spoil the verdict: ε, decay, clipping; torch's own Muon."""
    for family in (gpt2.FAMILY, gqa.MORE_HEADS):
        everywhere = edit("*", "eps", -1.0)
        yield case(
            Recipe(family=family, optimizer="adam", eps=1e-2, edits=(everywhere,)),
            "scaled-epsilon",
            notes="ε is larger than the gradients, and falls with width as they do",
        )
        yield case(
            Recipe(family=family, optimizer="adamw", weight_decay=10.0),
            "strong-decay",
            notes="learning rate times decay is 0.005 at every width",
        )
        yield case(Recipe(family=family, optimizer="own-adamw", clip=0.1), "clipped")
    small = replace(mlp.FAMILY, name="mlp-small", widths=(64, 128, 256), base=64)
    yield case(Recipe(family=small, optimizer="torch-muon"))
    yield case(Recipe(family=small, optimizer="torch-muon", table=TABLE_3), "table-3")
    yield case(Recipe(family=torch_encoder.FAMILY, table=TABLE_3), "table-3")
    yield case(Recipe(family=torch_encoder.FAMILY, optimizer="sgd", table=TABLE_3), "table-3")
    for optimizer in ("adam", "muon"):
        yield case(Recipe(family=torch_encoder.FAMILY, optimizer=optimizer, zero=("head",)), "zero")


def cases() -> Iterator[Case]:
    """All of the dev split."""
    for family in FAMILIES:
        for optimizer in EVERY_OPTIMIZER:
            yield case(Recipe(family=family, optimizer=optimizer))
    for rewrites in REWRITES:
        yield from _rewrites(rewrites)
    yield from _other()
