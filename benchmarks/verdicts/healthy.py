"""Correct µP models: each family under each optimizer, and abc-symmetric rewrites of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
from benchmarks.verdicts.recipe import Edit, Family, Recipe, edit, parameters
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3, TABLE_9
from benchmarks.verdicts.variants import (
    READOUT_PLACES,
    case,
    clipped,
    rate_power,
    rewrite,
    scaled_epsilon,
    strong_decay,
    u_mup,
)

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
    yield u_mup(family, Split.DEV)


def _bias_in_loss(family: Family, optimizer: str) -> tuple[Edit, ...]:
    """A multiplier in the loss is the readout's bias's too, whose rate must make up for it."""
    if "head.bias" not in parameters(family):
        return ()
    return (edit("head.bias", "lr", rate_power(optimizer, 1.0)),)


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
        yield scaled_epsilon(family, Split.DEV)
        why = "learning rate times decay is 0.005 at every width"
        yield strong_decay(family, Split.DEV, notes=why)
        yield clipped(family, Split.DEV)
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
