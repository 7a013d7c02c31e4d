"""Faults that many families are given: what is wrong, once, and rows of where."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import Family, edit
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3
from benchmarks.verdicts.variants import Where, rate_power


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A fault without its place.

    Attributes:
        what: as of an `Edit`.
        power: of width.
        more: other fields of the `Plant`.
    """

    what: str
    power: float
    more: Mapping[str, Any] = field(default_factory=dict)


#: A fault's name → what it is.
KINDS: Mapping[str, Kind] = {
    "one-rate": Kind(what="lr", power=1.0),
    "one-rate-falls": Kind(what="lr", power=-1.0),
    "one-rate-by-root": Kind(what="lr", power=0.5),
    "first-rate-falls": Kind(what="lr", power=-1.0),
    "readout-rate-falls": Kind(what="lr", power=-1.0),
    "shared-rate-falls": Kind(what="lr", power=-1.0),
    "kimi-rate-unscaled": Kind(what="lr", power=0.5),
    "hidden-rate-unscaled": Kind(what="lr", power=1.0),
    "bias-rate-grows": Kind(what="lr", power=1.0),
    "bias-rate-unscaled": Kind(what="lr", power=-1.0),
    "rate-before-norm": Kind(
        what="lr", power=-1.0, more={"causes": {"learning rate": -1.0, "init": 1.0}}
    ),
    "head-forgotten": Kind(what="lr", power=1.0, more={"recipe": {"table": TABLE_3}}),
    "one-init-grows": Kind(what="init", power=0.5),
    "one-init-falls": Kind(what="init", power=-0.5),
    "first-init-grows": Kind(what="init", power=0.5),
    "first-init-falls": Kind(what="init", power=-0.5),
    "readout-init-grows": Kind(what="init", power=0.5),
    "gain-grows": Kind(what="init", power=0.5, more={"causes": {"init": 0.5, "multiplier": 0.5}}),
    "readout-by-root": Kind(what="multiplier", power=0.5),
    "readout-unscaled": Kind(what="multiplier", power=1.0),
    "readout-too-small": Kind(what="multiplier", power=-0.5),
    "multiplier-grows": Kind(what="multiplier", power=0.5),
    "multiplier-falls": Kind(what="multiplier", power=-0.5),
    "multiplier-forgotten": Kind(
        what="multiplier", power=0.5, more={"recipe": {"table": MEAN_FIELD}}
    ),
    "one-epsilon": Kind(
        what="eps", power=1.0, more={"besides": (edit("*", "eps", -1.0),), "recipe": {"eps": 1e-2}}
    ),
    "decay-grows": Kind(what="weight_decay", power=1.0, more={"recipe": {"weight_decay": 20.0}}),
    "gradient-grows": Kind(
        what="gradient", power=0.5, more={"causes": {"gradient scale": 0.5, "learning rate": 0.5}}
    ),
}


def same(name: str, rows: Iterable[tuple[Family, str, Where]], **more: Any) -> Iterator[Plant]:
    """A fault of `KINDS` in each row's family, under its optimizers, at its tensors."""
    kind = KINDS[name]
    for family, optimizers, where in rows:
        change = edit(where, kind.what, kind.power)
        yield plant(family, name, optimizers, change, **{**kind.more, **more})


def init_before_norm(rows: Iterable[tuple[Family, str, Where, float]]) -> Iterator[Plant]:
    """An init wrong by a power where a norm takes the layer's size away: family, optimizer, where.

    Init and rate are one fault there: what counts is how far a step turns the weight, which is Δ/W,
    and under SGD Δ is itself as 1/W.
    """
    for family, optimizer, where, power in rows:
        yield plant(
            family,
            "init-before-norm",
            optimizer,
            edit(where, "init", power),
            causes={"init": power, "learning rate": -rate_power(optimizer, power)},
        )


def norm_falls(rows: Iterable[tuple[Family, str, str, str]]) -> Iterator[Plant]:
    """A norm's multiplier falls: family, optimizers, the norm, and the layer behind it."""
    for family, optimizers, norm, after in rows:
        yield plant(
            family,
            "norm-falls",
            optimizers,
            edit(norm, "multiplier", -0.5),
            tensors=(f"{norm}*",),
            also=(after,),
        )


def attention(
    rows: Iterable[tuple[Family, Where, str, float]], *, also: tuple[str, ...]
) -> Iterator[Plant]:
    """Attention's scale is wrong by a power: family, where, optimizers, power."""
    for family, where, optimizers, power in rows:
        yield plant(
            family,
            "attention-grows" if power > 0 else "attention-falls",
            optimizers,
            edit(where, "scale", power),
            causes={"attention scale": power, "multiplier": power},
            also=also,
        )


def logits_grow(rows: Iterable[tuple[Family, str, str, str]]) -> Iterator[Plant]:
    """Queries or keys are multiplied: family, that layer, its partner, optimizer."""
    for family, where, other, optimizer in rows:
        yield plant(
            family,
            "logits-grow",
            optimizer,
            edit(where, "multiplier", 0.5),
            causes={"multiplier": 0.5, "attention scale": 0.5},
            also=(other, where.rpartition(".")[0]),
        )


def branches(
    rows: Iterable[tuple[Family, Where, str, float, tuple[str, ...]]],
) -> Iterator[Plant]:
    """Residual branches wrong by a power: family, where, optimizers, power, last layers."""
    for family, where, optimizers, power, ends in rows:
        yield plant(
            family,
            "branch-grows" if power > 0 else "branch-falls",
            optimizers,
            edit(where, "branch", power),
            tensors=ends,
            also=tuple(f"{end}.bias" for end in ends),
        )


def epsilon_swallows(families: Iterable[Family], optimizers: str = "adam") -> Iterator[Plant]:
    """Adam's ε is larger than the gradients, which fall with width."""
    for family in families:
        yield plant(
            family,
            "epsilon-swallows",
            optimizers,
            tensors=("*",),
            causes={"epsilon": 1.0},
            recipe={"eps": 1e-2},
        )


def clipped(families: Iterable[Family]) -> Iterator[Plant]:
    """Where the readout dominates the gradient's norm, that falls as n^-½ and is cut less."""
    for family in families:
        yield plant(
            family,
            "clipped",
            "momentum",
            tensors=("*",),
            causes={"clipping": 0.5},
            recipe={"clip": 0.1},
        )
