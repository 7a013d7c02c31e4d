"""Planted faults of rates, of biases and gains, and of an optimizer's settings."""

from collections.abc import Iterator

from benchmarks.verdicts.faults import clipped, epsilon_swallows, same
from benchmarks.verdicts.fresh.decisions import ACTOR_CRITIC, ENSEMBLE, TABULAR
from benchmarks.verdicts.fresh.generative import DENOISER, FLOW, SPARSE
from benchmarks.verdicts.fresh.recommender import RECOMMENDER
from benchmarks.verdicts.fresh.science import MPNN_FAMILY, PINN, POINT_NET, RADIANCE
from benchmarks.verdicts.fresh.signals import CONFORMER, PATCH_TST, WAVE_ENCODER
from benchmarks.verdicts.fresh.text import BERT, BLOOM, GEMMA, GRIFFIN, SENTENCE_PAIR, TEXT_CNN
from benchmarks.verdicts.fresh.vision import DETECTOR, MOBILENET
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import edit


def _rates() -> Iterator[Plant]:
    yield from same(
        "one-rate",
        (
            (BERT, "adam", "layers.1.output"),
            (GEMMA, "adamw", "layers.0.mlp.gate_proj"),
            (BLOOM, "sgd", "h.0.h_to_4h"),
            (GRIFFIN, "adam", "blocks.1.recurrence.linear_x"),
            (SENTENCE_PAIR, "muon", "compare"),
            (TEXT_CNN, "momentum", "convs.1"),
            (CONFORMER, "adamw", "convolution.pointwise_2"),
            (WAVE_ENCODER, "adam", "projection"),
            (PATCH_TST, "muon", "ff_2"),
            (MOBILENET, "adam", "blocks.1.squeeze"),
            (DETECTOR, "adamw", "box_tower"),
            (DENOISER, "muon-kimi", "time_2"),
            (FLOW, "adam", "couplings.2.middle"),
            (MPNN_FAMILY, "muon", "rounds.0.from_source"),
            (POINT_NET, "adam", "cloud_1"),
            (PINN, "torch-muon", "lin_3"),
            (RADIANCE, "sgd", "view"),
            (ACTOR_CRITIC, "momentum", "critic"),
            (ENSEMBLE, "adam", "weight_2"),
            (TABULAR, "adam", "blocks.0.ffn_in"),
            (RECOMMENDER, "adamw", "blocks.0.attention.value"),
        ),
    )
    yield from same(
        "one-rate-falls",
        (
            (GRIFFIN, "muon", "blocks.0.mlp.up_proj"),
            (DETECTOR, "adam", "top"),
            (ACTOR_CRITIC, "torch-muon", "shared"),
        ),
    )
    yield from same(
        "first-rate-falls",
        (
            (BERT, "adamw", "words"),
            (GRIFFIN, "momentum", "embedder"),
            (TEXT_CNN, "adam", "embedding"),
            (CONFORMER, "adam", "subsample_1"),
            (PATCH_TST, "sgd", "value_embedding"),
            (SPARSE, "adam", "encoder"),
            (MPNN_FAMILY, "sgd", "kinds"),
            (RADIANCE, "muon-kimi", "trunk_1"),
            (ENSEMBLE, "adamw", "weight_0"),
            (TABULAR, "adam", "categories"),
        ),
    )
    yield from same(
        "readout-rate-falls",
        (
            (BERT, "sgd", "decoder"),
            (FLOW, "torch-muon", "*.leave"),
            (POINT_NET, "momentum", "head"),
        ),
    )
    yield plant(TABULAR, "places-rate-grows", "adamw", edit("row_token", "lr", 1.0))
    yield plant(PATCH_TST, "positions-rate-falls", "adam", edit("positions", "lr", -1.0))
    yield plant(BERT, "segments-rate-grows", "adam", edit("segments", "lr", 0.5))
    yield plant(
        MOBILENET,
        "depthwise-as-hidden",
        "adam",
        edit("blocks.*.depthwise", "lr", -1.0),
        causes={"learning rate": -1.0, "init": 1.0},
    )
    yield plant(GRIFFIN, "depthwise-as-hidden", "adamw", edit("*.conv", "lr", -1.0))
    yield plant(RECOMMENDER, "tied-rate-falls", "adam", edit("items", "lr", -1.0))
    yield from same(
        "kimi-rate-unscaled",
        (
            (
                BERT,
                "muon-kimi",
                (
                    "*.query",
                    "*.key",
                    "*.value",
                    "*.dense",
                    "*.intermediate",
                    "*.output",
                    "transform",
                ),
            ),
            (FLOW, "muon-kimi", ("*.middle",)),
            (ENSEMBLE, "muon-kimi", ("weight_1", "weight_2")),
        ),
    )
    yield from same(
        "hidden-rate-unscaled",
        (
            (SENTENCE_PAIR, "adam", ("encode_?", "compare")),
            (PINN, "adam", ("lin_2", "lin_3")),
            (RADIANCE, "adamw", ("trunk_2", "trunk_3", "feature", "view")),
        ),
    )
    yield from same(
        "head-forgotten",
        (
            (GRIFFIN, "adam", "head"),
            (DETECTOR, "adam", "class_head"),
            (ACTOR_CRITIC, "adam", "policy"),
        ),
    )


def _vectors() -> Iterator[Plant]:
    """Biases, gains, decays of channels."""
    yield from same(
        "bias-rate-grows",
        (
            (PATCH_TST, "adam", "ff_?.bias"),
            (MPNN_FAMILY, "adamw", "*.from_length.bias"),
            (SENTENCE_PAIR, "adam", "encode_?.bias"),
            (ENSEMBLE, "adam", "offset_1"),
            (RADIANCE, "muon-kimi", "trunk_?.bias"),
        ),
    )
    yield from same(
        "bias-rate-unscaled",
        (
            (DENOISER, "sgd", "blocks.?.up.bias"),
            (BERT, "sgd", "*.intermediate.bias"),
            (POINT_NET, "momentum", "cloud_?.bias"),
        ),
    )
    yield plant(CONFORMER, "gain-rate-grows", "adam", edit("norm.weight", "lr", 1.0))
    yield plant(BERT, "gain-rate-falls", "adam", edit("*_norm.weight", "lr", -1.0))
    yield plant(GEMMA, "gain-rate-grows", "adam", edit("*.post_mlp.gain", "lr", 1.0))
    yield plant(BLOOM, "gain-rate-unscaled", "sgd", edit("ln_f.weight", "lr", -1.0))
    yield plant(MOBILENET, "gain-rate-falls", "adamw", edit("*.bn_2.weight", "lr", -1.0))
    yield plant(GRIFFIN, "fade-rate-grows", "adam", edit("*.fade", "lr", 1.0))


def _settings() -> Iterator[Plant]:
    yield from epsilon_swallows((GEMMA, ACTOR_CRITIC, PATCH_TST))
    yield from same(
        "one-epsilon", ((BLOOM, "adam", "h.*.dense"), (DENOISER, "adam", "blocks.?.down"))
    )
    yield from clipped((SPARSE, TEXT_CNN, PATCH_TST))
    yield from same(
        "decay-grows",
        (
            (
                BERT,
                "adamw",
                ("*.query", "*.key", "*.value", "*.dense", "*.intermediate", "*.output"),
            ),
            (SENTENCE_PAIR, "adamw", ("encode_?", "compare")),
            (MPNN_FAMILY, "adamw", ("*.from_source", "*.from_target", "*.update", "readout_1")),
        ),
    )
    yield from same(
        "gradient-grows",
        (
            (BLOOM, "sgd", "h.0.dense"),
            (WAVE_ENCODER, "sgd", "projection"),
            (ENSEMBLE, "sgd", "weight_1"),
        ),
    )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _rates()
    yield from _vectors()
    yield from _settings()
