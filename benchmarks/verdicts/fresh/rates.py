"""Planted faults of rates, of biases and gains, and of an optimizer's settings."""

from collections.abc import Iterator

from benchmarks.verdicts.fresh.decisions import ACTOR_CRITIC, ENSEMBLE, TABULAR
from benchmarks.verdicts.fresh.generative import DENOISER, FLOW, SPARSE
from benchmarks.verdicts.fresh.plants import planted, same
from benchmarks.verdicts.fresh.recommender import RECOMMENDER
from benchmarks.verdicts.fresh.science import MPNN_FAMILY, PINN, POINT_NET, RADIANCE
from benchmarks.verdicts.fresh.signals import CONFORMER, PATCH_TST, WAVE_ENCODER
from benchmarks.verdicts.fresh.text import BERT, BLOOM, GEMMA, GRIFFIN, SENTENCE_PAIR, TEXT_CNN
from benchmarks.verdicts.fresh.vision import DETECTOR, MOBILENET
from benchmarks.verdicts.plant import Plant
from benchmarks.verdicts.recipe import edit
from benchmarks.verdicts.rules import TABLE_3


def _rates() -> Iterator[Plant]:
    where: str | tuple[str, ...]
    yield from same(
        "one-rate",
        "lr",
        1.0,
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
        "lr",
        -1.0,
        (
            (GRIFFIN, "muon", "blocks.0.mlp.up_proj"),
            (DETECTOR, "adam", "top"),
            (ACTOR_CRITIC, "torch-muon", "shared"),
        ),
    )
    yield from same(
        "first-rate-falls",
        "lr",
        -1.0,
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
        "lr",
        -1.0,
        (
            (BERT, "sgd", "decoder"),
            (FLOW, "torch-muon", "*.leave"),
            (POINT_NET, "momentum", "head"),
        ),
    )
    yield planted(TABULAR, "places-rate-grows", "adamw", edit("row_token", "lr", 1.0))
    yield planted(PATCH_TST, "positions-rate-falls", "adam", edit("positions", "lr", -1.0))
    yield planted(BERT, "segments-rate-grows", "adam", edit("segments", "lr", 0.5))
    yield planted(
        MOBILENET,
        "depthwise-as-hidden",
        "adam",
        edit("blocks.*.depthwise", "lr", -1.0),
        causes={"learning rate": -1.0, "init": 1.0},
    )
    yield planted(GRIFFIN, "depthwise-as-hidden", "adamw", edit("*.conv", "lr", -1.0))
    yield planted(RECOMMENDER, "tied-rate-falls", "adam", edit("items", "lr", -1.0))
    for family, optimizer, where in (
        (
            BERT,
            "muon-kimi",
            ("*.query", "*.key", "*.value", "*.dense", "*.intermediate", "*.output", "transform"),
        ),
        (FLOW, "muon-kimi", ("*.middle",)),
        (ENSEMBLE, "muon-kimi", ("weight_1", "weight_2")),
    ):
        yield planted(family, "kimi-rate-unscaled", optimizer, edit(where, "lr", 0.5))
    for family, optimizer, where in (
        (SENTENCE_PAIR, "adam", ("encode_?", "compare")),
        (PINN, "adam", ("lin_2", "lin_3")),
        (RADIANCE, "adamw", ("trunk_2", "trunk_3", "feature", "view")),
    ):
        yield planted(family, "hidden-rate-unscaled", optimizer, edit(where, "lr", 1.0))
    for family, optimizer, where in (
        (GRIFFIN, "adam", "head"),
        (DETECTOR, "adam", "class_head"),
        (ACTOR_CRITIC, "adam", "policy"),
    ):
        yield planted(
            family, "head-forgotten", optimizer, edit(where, "lr", 1.0), recipe={"table": TABLE_3}
        )


def _vectors() -> Iterator[Plant]:
    """Biases, gains, decays of channels."""
    yield from same(
        "bias-rate-grows",
        "lr",
        1.0,
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
        "lr",
        -1.0,
        (
            (DENOISER, "sgd", "blocks.?.up.bias"),
            (BERT, "sgd", "*.intermediate.bias"),
            (POINT_NET, "momentum", "cloud_?.bias"),
        ),
    )
    yield planted(CONFORMER, "gain-rate-grows", "adam", edit("norm.weight", "lr", 1.0))
    yield planted(BERT, "gain-rate-falls", "adam", edit("*_norm.weight", "lr", -1.0))
    yield planted(GEMMA, "gain-rate-grows", "adam", edit("*.post_mlp.gain", "lr", 1.0))
    yield planted(BLOOM, "gain-rate-unscaled", "sgd", edit("ln_f.weight", "lr", -1.0))
    yield planted(MOBILENET, "gain-rate-falls", "adamw", edit("*.bn_2.weight", "lr", -1.0))
    yield planted(GRIFFIN, "fade-rate-grows", "adam", edit("*.fade", "lr", 1.0))


def _settings() -> Iterator[Plant]:
    where: str | tuple[str, ...]
    for family in (GEMMA, ACTOR_CRITIC, PATCH_TST):
        yield planted(
            family,
            "epsilon-swallows",
            "adam",
            tensors=("*",),
            causes={"epsilon": 1.0},
            recipe={"eps": 1e-2},
        )
    for family, where in ((BLOOM, "h.*.dense"), (DENOISER, "blocks.?.down")):
        yield planted(
            family,
            "one-epsilon",
            "adam",
            edit(where, "eps", 1.0),
            besides=(edit("*", "eps", -1.0),),
            recipe={"eps": 1e-2},
        )
    # Here the readout dominates the gradient's norm, which therefore falls as n^-½ and is cut less.
    for family in (SPARSE, TEXT_CNN, PATCH_TST):
        yield planted(
            family,
            "clipped",
            "momentum",
            tensors=("*",),
            causes={"clipping": 0.5},
            recipe={"clip": 0.1},
        )
    for family, where in (
        (BERT, ("*.query", "*.key", "*.value", "*.dense", "*.intermediate", "*.output")),
        (SENTENCE_PAIR, ("encode_?", "compare")),
        (MPNN_FAMILY, ("*.from_source", "*.from_target", "*.update", "readout_1")),
    ):
        yield planted(
            family,
            "decay-grows",
            "adamw",
            edit(where, "weight_decay", 1.0),
            recipe={"weight_decay": 20.0},
        )
    for family, where in (
        (BLOOM, "h.0.dense"),
        (WAVE_ENCODER, "projection"),
        (ENSEMBLE, "weight_1"),
    ):
        yield planted(
            family,
            "gradient-grows",
            "sgd",
            edit(where, "gradient", 0.5),
            causes={"gradient scale": 0.5, "learning rate": 0.5},
        )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _rates()
    yield from _vectors()
    yield from _settings()
