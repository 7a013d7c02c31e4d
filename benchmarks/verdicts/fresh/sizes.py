"""Planted faults of inits, multipliers, attention and residual branches."""

from collections.abc import Iterator

from benchmarks.verdicts.faults import (
    attention,
    branches,
    init_before_norm,
    logits_grow,
    norm_falls,
    same,
)
from benchmarks.verdicts.fresh.decisions import ACTOR_CRITIC, ENSEMBLE, TABULAR
from benchmarks.verdicts.fresh.generative import DENOISER, FLOW, SPARSE
from benchmarks.verdicts.fresh.recommender import RECOMMENDER
from benchmarks.verdicts.fresh.science import MPNN_FAMILY, PINN, POINT_NET, RADIANCE
from benchmarks.verdicts.fresh.signals import CONFORMER, PATCH_TST, WAVE_ENCODER
from benchmarks.verdicts.fresh.text import BERT, BLOOM, GEMMA, GRIFFIN, SENTENCE_PAIR, TEXT_CNN
from benchmarks.verdicts.fresh.vision import DETECTOR, MOBILENET
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import edit
from benchmarks.verdicts.rules import TABLE_3


def _inits() -> Iterator[Plant]:
    yield from same(
        "one-init-grows",
        (
            (BERT, "adam", "layers.0.intermediate"),
            (BLOOM, "momentum", "h.1.h_to_4h"),
            (GRIFFIN, "adamw", "blocks.0.mlp.down_proj"),
            (SENTENCE_PAIR, "adam", "compare"),
            (TEXT_CNN, "sgd", "convs.1"),
            (CONFORMER, "adam", "ffn_2.expand"),
            (PATCH_TST, "muon", "ff_1"),
            (MOBILENET, "adam", "last"),
            (DETECTOR, "adam", "class_tower"),
            (DENOISER, "muon", "blocks.0.up"),
            (FLOW, "adam", "couplings.1.middle"),
            (MPNN_FAMILY, "adam", "readout_1"),
            (POINT_NET, "adamw", "point_2"),
            (RADIANCE, "adam", "trunk_2"),
            (ACTOR_CRITIC, "sgd", "shared"),
            (ENSEMBLE, "muon", "weight_1"),
            (TABULAR, "adamw", "blocks.0.ffn_out"),
        ),
    )
    yield from same(
        "one-init-falls",
        (
            (BLOOM, "adam", "h.1.four_h_to_h"),
            (DENOISER, "adam", "blocks.1.down"),
            (PINN, "momentum", "lin_2"),
            (RECOMMENDER, "adam", "blocks.1.attention.value"),
        ),
    )
    yield from same(
        "first-init-falls",
        (
            (GRIFFIN, "adam", "embedder"),
            (POINT_NET, "sgd", "point_1"),
            (ENSEMBLE, "adam", "weight_0"),
        ),
    )
    yield from same(
        "first-init-grows",
        ((SENTENCE_PAIR, "momentum", "embedding"), (DENOISER, "adamw", "into")),
    )
    yield from same(
        "readout-init-grows",
        ((BERT, "adam", "decoder"), (MPNN_FAMILY, "sgd", "head"), (SPARSE, "adamw", "decoder")),
    )
    for family, optimizer, where in (
        (BLOOM, "adam", "head"),
        (ACTOR_CRITIC, "adam", "value"),
    ):
        yield plant(
            family,
            "head-init-by-root",
            optimizer,
            edit(where, "init", 0.5),
            recipe={"table": TABLE_3},
        )
    yield from init_before_norm(
        (
            (WAVE_ENCODER, "adam", "conv_1", 0.5),
            (WAVE_ENCODER, "momentum", "conv_2", 0.5),
            (MOBILENET, "sgd", "blocks.0.expand", 0.5),
            (BLOOM, "adam", "word_embeddings", -0.5),
            (GEMMA, "muon-kimi", "layers.0.v_proj", 0.5),
        )
    )
    yield from same(
        "rate-before-norm",
        (
            (WAVE_ENCODER, "adamw", "conv_0"),
            (GEMMA, "adam", "layers.1.o_proj"),
            (BLOOM, "muon", "word_embeddings"),
        ),
    )


def _multipliers() -> Iterator[Plant]:
    yield from same(
        "readout-by-root",
        (
            (BERT, "adam", "decoder"),
            (GEMMA, "sgd", "head"),
            (CONFORMER, "adamw", "head"),
            (WAVE_ENCODER, "adam", "head"),
            (PATCH_TST, "adamw", "head"),
            (FLOW, "adam", "*.leave"),
            (RADIANCE, "muon", "colour_head"),
            (ACTOR_CRITIC, "sgd", "policy"),
            (TABULAR, "momentum", "head"),
        ),
    )
    yield from same(
        "readout-unscaled",
        (
            (GRIFFIN, "adam", "head"),
            (DETECTOR, "adam", "box_head"),
            (SPARSE, "sgd", "decoder"),
            (DENOISER, "muon", "head"),
        ),
    )
    yield from same(
        "readout-too-small",
        ((POINT_NET, "adam", "head"), (BLOOM, "momentum", "head")),
    )
    yield from same(
        "multiplier-grows",
        (
            (DENOISER, "adam", "blocks.0.film"),
            (SENTENCE_PAIR, "sgd", "compare"),
        ),
    )
    yield from same(
        "multiplier-falls",
        ((FLOW, "adamw", "couplings.2.middle"), (MOBILENET, "adam", "blocks.0.excite")),
    )
    yield plant(  # nothing nonlinear is between the two
        RADIANCE, "multiplier-grows", "adam", edit("feature", "multiplier", 0.5), also=("view",)
    )
    yield from same(
        "multiplier-forgotten",
        (
            (TEXT_CNN, "adam", "convs.1"),
            (POINT_NET, "adamw", "cloud_2"),
        ),
    )
    yield plant(
        RECOMMENDER,
        "score-by-root",
        "adam",
        edit("", "readout", 0.5),
        tensors=("items",),
        also=("items.weight",),
    )
    yield plant(
        RECOMMENDER,
        "score-unscaled",
        "sgd",
        edit("", "readout", 1.0),
        tensors=("items",),
        also=("items.weight",),
    )
    yield from norm_falls(
        (
            (DENOISER, "adam", "blocks.0.norm", "blocks.0.up"),
            (CONFORMER, "adam", "ffn_1.norm", "ffn_1.expand"),
            (TABULAR, "sgd", "blocks.1.ffn_norm", "blocks.1.ffn_in"),
        )
    )
    yield from same(
        "gain-grows",
        ((BLOOM, "adam", "h.0.post_layernorm.weight"),),
        also=("h.0.post_layernorm",),
    )


def _attention() -> Iterator[Plant]:
    layers = ("*.query*", "*.key", "*.q_proj", "*.k_proj")  # with biases; a key's has no effect
    yield from attention(
        (
            (BERT, "layers.*.attention", "adam", 0.5),
            (BLOOM, "h.?", "adamw", 0.5),
            (GEMMA, "layers.?", "adam", 0.5),
            (PATCH_TST, "attention", "muon-kimi", 0.5),
            (TABULAR, "blocks.*.attention", "adamw", 0.5),
            (CONFORMER, "attention", "adam", -0.5),
            (RECOMMENDER, "blocks.*.attention", "momentum", 0.5),
        ),
        also=layers,
    )
    yield from logits_grow(
        (
            (PATCH_TST, "attention.query", "attention.key", "adam"),
            (GEMMA, "layers.0.k_proj", "layers.0.q_proj", "adamw"),
        )
    )


def _branches() -> Iterator[Plant]:
    yield from branches(
        (
            (BERT, "layers.?", "adamw", 0.5, ("*.attention.dense", "*.output")),
            (GRIFFIN, "blocks.?", "adam", -0.5, ("*.linear_out", "*.down_proj")),
            (
                CONFORMER,
                "",
                "adam",
                0.5,
                ("ffn_?.contract", "attention.dense", "convolution.pointwise_2"),
            ),
            (PATCH_TST, "", "sgd", 0.5, ("attention.dense", "ff_2")),
            (DENOISER, "blocks.?", "momentum", 0.5, ("*.down",)),
            (MPNN_FAMILY, "rounds.?", "adam", 0.5, ("*.update",)),
            (TABULAR, "blocks.?", "adam", -0.5, ("*.attention.dense", "*.ffn_out")),
            (RECOMMENDER, "blocks.?", "adamw", 0.5, ("*.attention.dense", "*.ffn_2")),
        )
    )
    for family, where, optimizer, ends in (
        (MOBILENET, "blocks.?", "adam", ("blocks.*.bn_3*",)),
        (GEMMA, "layers.?", "adamw", ("*.post_*",)),
    ):
        yield plant(
            family,
            "branch-grows",
            optimizer,
            edit(where, "branch", 0.5),
            tensors=ends,
        )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _inits()
    yield from _multipliers()
    yield from _attention()
    yield from _branches()
