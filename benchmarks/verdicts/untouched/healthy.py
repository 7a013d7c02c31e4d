"""Correct µP models of the untouched families, and rewrites of them that compute the same."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.healthy import EVERY_OPTIMIZER
from benchmarks.verdicts.recipe import Recipe, edit, next_byte_loss
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3, TABLE_9
from benchmarks.verdicts.untouched.recurrent import (
    LSTM_FAMILY,
    RETENTION,
    RWKV,
    SHARED_EXPERTS,
    WAVENET,
)
from benchmarks.verdicts.untouched.transformers import (
    CAPTIONER,
    DROPOUT,
    LATENT,
    LORA,
    PARALLEL,
    POST_NORM,
    QK_NORM,
    RELATIVE,
    SANDWICH,
)
from benchmarks.verdicts.untouched.vectors import DLRM_FAMILY, GRAPH, TWO_TOWERS, VAE_FAMILY
from benchmarks.verdicts.untouched.vision import CONVNEXT, PERCEIVER, RESNET, TRANSPOSED, VIT
from benchmarks.verdicts.variants import (
    READOUT_PLACES,
    case,
    clipped,
    rewrite,
    scaled_epsilon,
    strong_decay,
    u_mup,
)

FAMILIES = (
    QK_NORM,
    POST_NORM,
    PARALLEL,
    RELATIVE,
    SANDWICH,
    LATENT,
    CAPTIONER,
    DROPOUT,
    RETENTION,
    RWKV,
    LSTM_FAMILY,
    WAVENET,
    SHARED_EXPERTS,
    RESNET,
    CONVNEXT,
    VIT,
    PERCEIVER,
    TRANSPOSED,
    GRAPH,
    DLRM_FAMILY,
    TWO_TOWERS,
    VAE_FAMILY,
)
#: The residual network goes without Muon: its thin layers have fewer channels than a batch has
#: pixels, so that the rank of their gradients, and Muon's step with it, still grows with width.
#: Of the six optimizers, each family is trained with this many; which ones go round.
OPTIMIZERS_EACH = 4
#: LoRA in µP: the first thin matrix starts like a hidden one and learns like a readout without a
#: multiplier, the second starts at zero and learns like an embedding.
LORA_RECIPE: Mapping[str, Any] = {
    "family": LORA,
    "table": TABLE_3,
    "zero": ("*.b",),
}
LORA_START = edit("*.a", "init", 0.5)


def mixed_precision(loss: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """The loss under autocast to bfloat16; weights and updates stay float32."""

    def under_autocast(model: Any, batch: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loss(model, batch)

    return under_autocast


MIXED_PRECISION = replace(DROPOUT, name="dropout-bf16", loss=mixed_precision(next_byte_loss))


def _plain(split: Split) -> Iterator[Case]:
    going_round = cycle(EVERY_OPTIMIZER)
    for family in FAMILIES:
        for optimizer in islice(going_round, OPTIMIZERS_EACH):
            if family is RESNET and "muon" in optimizer:
                optimizer = "momentum"
            yield case(Recipe(family=family, optimizer=optimizer), split=split)
        next(going_round)
    for optimizer in ("adam", "sgd", "muon"):
        yield case(Recipe(family=MIXED_PRECISION, optimizer=optimizer), split=split)
    for optimizer in ("adam", "adamw", "sgd", "momentum"):
        yield case(
            Recipe(optimizer=optimizer, edits=(LORA_START,), **LORA_RECIPE),
            split=split,
            notes="the second thin matrix starts at zero, and the first has no gradient yet",
        )


def _tables(split: Split) -> Iterator[Case]:
    for family, optimizer in (
        (POST_NORM, "adam"),
        (CAPTIONER, "sgd"),
        (LSTM_FAMILY, "adamw"),
        (PERCEIVER, "momentum"),
        (SHARED_EXPERTS, "muon"),
        (TRANSPOSED, "adam"),
        (GRAPH, "sgd"),
    ):
        recipe = Recipe(family=family, optimizer=optimizer, table=TABLE_3)
        yield case(recipe, "table-3", split=split)
    for family, optimizer in (
        (PARALLEL, "adam"),
        (LATENT, "sgd"),
        (RETENTION, "muon"),
        (RWKV, "adam"),
        (RESNET, "momentum"),
        (VIT, "muon-kimi"),
        (TWO_TOWERS, "adamw"),
    ):
        recipe = Recipe(family=family, optimizer=optimizer, table=MEAN_FIELD)
        yield case(recipe, "mean-field", split=split)
    for family, optimizer in ((RELATIVE, "adamw"), (WAVENET, "momentum")):
        yield case(
            Recipe(family=family, optimizer=optimizer, table=TABLE_9), "table-9", split=split
        )
    for family in (PARALLEL, WAVENET):
        yield u_mup(family, split)


def _rewrites(split: Split) -> Iterator[Case]:
    for family, place, optimizer in (
        (QK_NORM, "readout-loss", "adam"),
        (SANDWICH, "readout-output", "sgd"),
        (LATENT, "readout-input", "adamw"),
        (RWKV, "readout-output", "momentum"),
        (CONVNEXT, "readout-input", "muon"),
        (GRAPH, "readout-input", "adam"),
    ):
        recipe = Recipe(family=family, optimizer=optimizer, places=READOUT_PLACES[place])
        yield case(recipe, place, split=split)
    for family, optimizer in ((QK_NORM, "muon"), (WAVENET, "adam"), (VIT, "momentum")):
        yield case(
            Recipe(family=family, optimizer=optimizer, zero=("head",)),
            "zero-readout",
            split=split,
            notes="at the first update only the readout has a gradient",
        )
    for family, up, down, optimizer in (
        (POST_NORM, "*.up", "*.out", "sgd"),
        (SANDWICH, "*.q", "*.down", "adam"),
        (RETENTION, "*.gate", "embedding", "muon"),
        (RESNET, "blocks.*.reduce", "blocks.*.expand", "adam"),
        (VAE_FAMILY, "encode_2", "decode_1", "momentum"),
    ):
        edits = (*rewrite(up, 0.5, optimizer), *rewrite(down, -0.5, optimizer))
        recipe = Recipe(family=family, optimizer=optimizer, edits=edits)
        yield case(recipe, "moved-factors", split=split)


def _settings(split: Split) -> Iterator[Case]:
    for family in (PARALLEL, CONVNEXT):
        yield scaled_epsilon(family, split)
    for family in (LATENT, GRAPH):
        yield strong_decay(family, split)
        yield clipped(family, split)


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    for rows in (_plain, _tables, _rewrites, _settings):
        yield from rows(split)
