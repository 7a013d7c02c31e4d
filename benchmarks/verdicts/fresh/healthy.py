"""Correct µP models of the fresh families, and rewrites of them that compute the same."""

from collections.abc import Iterator, Mapping

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.fresh.decisions import ACTOR_CRITIC, ENSEMBLE, TABULAR
from benchmarks.verdicts.fresh.generative import DENOISER, FLOW, SPARSE
from benchmarks.verdicts.fresh.recommender import RECOMMENDER
from benchmarks.verdicts.fresh.science import MPNN_FAMILY, PINN, POINT_NET, RADIANCE
from benchmarks.verdicts.fresh.signals import CONFORMER, PATCH_TST, WAVE_ENCODER
from benchmarks.verdicts.fresh.text import BERT, BLOOM, GEMMA, GRIFFIN, SENTENCE_PAIR, TEXT_CNN
from benchmarks.verdicts.fresh.vision import DETECTOR, MOBILENET
from benchmarks.verdicts.recipe import Edit, Family, edit, parameters
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3, TABLE_9
from benchmarks.verdicts.variants import (
    READOUT_PLACES,
    by_table,
    case,
    clipped,
    lean,
    plain,
    rate_power,
    resized,
    rewrite,
    scaled_epsilon,
    strong_decay,
    u_mup,
    zero_readouts,
)

#: family → optimizers. Muon goes where a batch has no more tokens or pixels than the narrowest
#: model has channels: beyond that the rank of a gradient, and Muon's step with it, grows with
#: width. A Conformer under SGD is left out: gradients through its convolutions are too noisy.
PLAIN: Mapping[Family, str] = {
    BERT: "adam adamw sgd muon",
    GEMMA: "adam adamw momentum muon-kimi",
    BLOOM: "adam sgd own-adamw muon",
    GRIFFIN: "adamw sgd momentum muon-kimi",
    SENTENCE_PAIR: "adam sgd momentum muon",
    TEXT_CNN: "adam adamw sgd momentum",
    CONFORMER: "adam adamw own-adamw muon",
    WAVE_ENCODER: "adam own-adamw sgd momentum",
    PATCH_TST: "adam adamw sgd muon-kimi",
    MOBILENET: "adam adamw sgd momentum",
    DETECTOR: "adam adamw sgd momentum",
    DENOISER: "adam adamw sgd muon",
    FLOW: "adam adamw momentum muon torch-muon",
    SPARSE: "adam adamw sgd momentum",
    MPNN_FAMILY: "adam adamw sgd muon torch-muon",
    POINT_NET: "adam adamw sgd momentum",
    PINN: "adam sgd momentum muon-kimi torch-muon",
    RADIANCE: "adam adamw sgd muon-kimi",
    ACTOR_CRITIC: "adam sgd momentum muon torch-muon",
    ENSEMBLE: "adam adamw sgd muon",
    TABULAR: "adam adamw own-adamw sgd",
    RECOMMENDER: "adam adamw sgd momentum muon-kimi",
}
#: Layers whose size what follows takes away again: nothing nonlinear is between them and a norm.
BEFORE_NORMS: Mapping[Family, str] = {
    GEMMA: "*.down_proj",
    BLOOM: "word_embeddings",
    WAVE_ENCODER: "conv_?",
    MOBILENET: "blocks.*.project",
}


def _tables(split: Split) -> Iterator[Case]:
    yield from by_table(
        "table-3",
        TABLE_3,
        (
            (BERT, "adam"),
            (CONFORMER, "adamw"),
            (WAVE_ENCODER, "sgd"),
            (DETECTOR, "adam"),
            (MPNN_FAMILY, "momentum"),
            (ACTOR_CRITIC, "muon"),
            (SPARSE, "adam"),
            (BLOOM, "muon"),
            (TABULAR, "own-adamw"),
        ),
        split,
    )
    yield from by_table(
        "mean-field",
        MEAN_FIELD,
        (
            (GEMMA, "adam"),
            (GRIFFIN, "adamw"),
            (TEXT_CNN, "sgd"),
            (MOBILENET, "adam"),
            (DENOISER, "muon-kimi"),
            (PINN, "adam"),
            (RADIANCE, "momentum"),
            (RECOMMENDER, "sgd"),
            (BERT, "muon-kimi"),
        ),
        split,
    )
    yield from by_table(
        "table-9",
        TABLE_9,
        (
            (BLOOM, "adam"),
            (SENTENCE_PAIR, "sgd"),
            (FLOW, "adamw"),
            (POINT_NET, "momentum"),
        ),
        split,
    )
    for family in (GEMMA, GRIFFIN):
        yield u_mup(family, split)


def _readouts(split: Split) -> Iterator[Case]:
    for family, place, optimizer in (
        (GEMMA, "readout-input", "momentum"),
        (BLOOM, "readout-output", "sgd"),
        (GRIFFIN, "readout-loss", "adam"),
        (SENTENCE_PAIR, "readout-input", "adam"),
        (CONFORMER, "readout-loss", "adam"),
        (WAVE_ENCODER, "readout-input", "adamw"),
        (PATCH_TST, "readout-output", "adam"),
        (PINN, "readout-output", "sgd"),
        (MPNN_FAMILY, "readout-loss", "adamw"),
    ):
        edits: tuple[Edit, ...] = ()
        if place != "readout-input" and "head.bias" in parameters(family):
            # the multiplier is the bias's too, whose rate must make up for it
            edits = (edit("head.bias", "lr", rate_power(optimizer, 1.0)),)
        moved = lean(family, optimizer, *edits, places=READOUT_PLACES[place])
        yield case(moved, place, split=split)
    yield from zero_readouts(
        (
            (GEMMA, ("head",), "adam"),
            (BERT, ("decoder",), "adamw"),
            (FLOW, ("*.leave",), "adam"),
            (DENOISER, ("*.film", "head"), "adam"),
            (RADIANCE, ("*_head",), "adam"),
            (ACTOR_CRITIC, ("policy", "value"), "momentum"),
            (DETECTOR, ("*_head",), "sgd"),
            (PATCH_TST, ("head",), "muon"),
        ),
        split,
    )


def _rewrites(split: Split) -> Iterator[Case]:
    for family, up, down, optimizer in (
        (BERT, "*.intermediate", "transform", "adam"),
        (GRIFFIN, "*.linear_y", "*.gate_?", "adamw"),
        (TEXT_CNN, "convs.1", "embedding", "sgd"),
        (CONFORMER, "convolution.depthwise", "*.contract", "adam"),
        (MOBILENET, "*.squeeze", "*.excite", "momentum"),
        (DENOISER, "*.film", "time_1", "adam"),
        (POINT_NET, "point_2", "cloud_1", "sgd"),
        (RADIANCE, "feature", "again", "adam"),
        (ACTOR_CRITIC, "shared", "critic", "torch-muon"),
    ):
        edits = (*rewrite(up, 0.5, optimizer), *rewrite(down, -0.5, optimizer))
        yield case(lean(family, optimizer, *edits), "moved-factors", split=split)
    for family, norm, optimizer in (
        (BERT, "layers.*.attention_norm", "adam"),
        (BLOOM, "h.*.input_layernorm", "sgd"),
        (TABULAR, "blocks.*.ffn_norm", "adam"),
    ):
        rate = rate_power(optimizer, -0.5)
        edits = (
            edit(norm, "multiplier", 0.5),
            edit(f"{norm}.weight", "init", -0.5),
            edit((f"{norm}.weight", f"{norm}.bias"), "lr", rate),
        )
        yield case(lean(family, optimizer, *edits), "moved-gains", split=split)
    for family, optimizer in (
        (GEMMA, "adam"),
        (BLOOM, "adamw"),
        (WAVE_ENCODER, "momentum"),
        (MOBILENET, "adam"),
    ):
        change = edit(BEFORE_NORMS[family], "multiplier", 0.5)
        yield case(
            lean(family, optimizer, change),
            "free-multiplier",
            split=split,
            notes="the norm behind it takes a layer's multiplier away, forward and backward",
        )
    for family, optimizer in (
        (GEMMA, "adamw"),
        (BLOOM, "adam"),
        (WAVE_ENCODER, "adam"),
        (MOBILENET, "sgd"),
    ):
        edits = resized(BEFORE_NORMS[family], 0.5, optimizer)
        yield case(
            lean(family, optimizer, *edits),
            "larger-before-norm",
            split=split,
            notes="the norm behind it leaves only how far a step turns the weight",
        )


def _settings(split: Split) -> Iterator[Case]:
    for family in (BLOOM, RECOMMENDER):
        yield scaled_epsilon(family, split)
    for family in (GEMMA, ENSEMBLE, TEXT_CNN):
        yield strong_decay(family, split)
    for family in (DETECTOR, FLOW):
        yield clipped(family, split)


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    yield from plain(PLAIN, split)
    for rows in (_tables, _readouts, _rewrites, _settings):
        yield from rows(split)
