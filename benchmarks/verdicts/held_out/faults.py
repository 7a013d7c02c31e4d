"""Planted faults of the held-out families."""

from collections.abc import Iterator, Mapping

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.faults import attention
from benchmarks.verdicts.held_out.families import (
    BARE,
    ENCODER_DECODER,
    GRU_FAMILY,
    MIXER,
    REGRESSION,
    REZERO,
    STATE_SPACE,
    UNET,
)
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import Family, edit

#: family → (first layer, one hidden layer, readout)
LAYERS: Mapping[Family, tuple[str, str, str]] = {
    GRU_FAMILY: ("embedding", "gru.weight_hh_l0", "head"),
    STATE_SPACE: ("embedding", "out.1", "head"),
    MIXER: ("patches", "up", "head"),
    UNET: ("stem", "middle", "head"),
    ENCODER_DECODER: ("source", "cross.kv", "head"),
    REZERO: ("embedding", "down.1", "head"),
    REGRESSION: ("first", "second", "head"),
    BARE: ("table", "mix", "readout"),
}


def _plants() -> Iterator[Plant]:
    for family, (first, layer, head) in LAYERS.items():
        yield plant(family, "one-rate", "adam momentum muon", edit(layer, "lr", 1.0))
        yield plant(family, "first-rate-falls", "adamw", edit(first, "lr", -1.0))
        yield plant(family, "readout-rate-grows", "sgd", edit(head, "lr", 1.0))
        yield plant(family, "one-init-grows", "adam", edit(layer, "init", 0.5))
        if family is not BARE:
            yield plant(family, "readout-by-root", "adamw sgd", edit(head, "multiplier", 0.5))
    yield from attention(((ENCODER_DECODER, "cross", "adam", 0.5),), also=("cross.q", "cross.kv"))
    yield plant(REZERO, "gain-rate-grows", "adam sgd", edit("gains.*", "lr", 1.0))
    yield plant(STATE_SPACE, "decay-rate-falls", "sgd", edit("decays.*", "lr", -1.0))


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    for each in _plants():
        yield from each.cases(split)
