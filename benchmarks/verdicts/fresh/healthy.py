"""Correct µP models of the fresh families, and rewrites of them that compute the same."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.fresh.decisions import ACTOR_CRITIC, ENSEMBLE, TABULAR
from benchmarks.verdicts.fresh.generative import DENOISER, FLOW, SPARSE
from benchmarks.verdicts.fresh.recommender import RECOMMENDER
from benchmarks.verdicts.fresh.science import MPNN_FAMILY, PINN, POINT_NET, RADIANCE
from benchmarks.verdicts.fresh.signals import CONFORMER, PATCH_TST, WAVE_ENCODER
from benchmarks.verdicts.fresh.text import BERT, BLOOM, GEMMA, GRIFFIN, SENTENCE_PAIR, TEXT_CNN
from benchmarks.verdicts.fresh.vision import DETECTOR, MOBILENET
from benchmarks.verdicts.healthy import READOUT_PLACES, case, rewrite
from benchmarks.verdicts.recipe import Edit, Family, Recipe, edit, parameters
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3, TABLE_9, UMUP, Role

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
_SQUARED = ("sgd", "momentum")


@cache
def trained_with(optimizer: str, family: Family) -> Family:
    """The family; orthogonalising is slow, and under Muon the widest model is left out."""
    if "muon" not in optimizer:
        return family
    return replace(family, widths=tuple(width for width in family.widths if width < 512))


def recipe(family: Family, optimizer: str, *edits: Edit, **more: object) -> Recipe:
    """Short for `Recipe`."""
    fields: dict[str, object] = {"optimizer": optimizer, "edits": edits, **more}
    return Recipe(family=trained_with(optimizer, family), **fields)  # type: ignore[arg-type]


def _plain(split: Split) -> Iterator[Case]:
    for family, optimizers in PLAIN.items():
        for optimizer in optimizers.split():
            yield case(recipe(family, optimizer), split=split)


def _tables(split: Split) -> Iterator[Case]:
    for family, optimizer in (
        (BERT, "adam"),
        (CONFORMER, "adamw"),
        (WAVE_ENCODER, "sgd"),
        (DETECTOR, "adam"),
        (MPNN_FAMILY, "momentum"),
        (ACTOR_CRITIC, "muon"),
        (SPARSE, "adam"),
        (BLOOM, "muon"),
        (TABULAR, "own-adamw"),
    ):
        yield case(recipe(family, optimizer, table=TABLE_3), "table-3", split=split)
    for family, optimizer in (
        (GEMMA, "adam"),
        (GRIFFIN, "adamw"),
        (TEXT_CNN, "sgd"),
        (MOBILENET, "adam"),
        (DENOISER, "muon-kimi"),
        (PINN, "adam"),
        (RADIANCE, "momentum"),
        (RECOMMENDER, "sgd"),
        (BERT, "muon-kimi"),
    ):
        yield case(recipe(family, optimizer, table=MEAN_FIELD), "mean-field", split=split)
    for family, optimizer in (
        (BLOOM, "adam"),
        (SENTENCE_PAIR, "sgd"),
        (FLOW, "adamw"),
        (POINT_NET, "momentum"),
    ):
        yield case(recipe(family, optimizer, table=TABLE_9), "table-9", split=split)
    for family in (GEMMA, GRIFFIN):
        inputs: dict[str, tuple[float, float]] = {
            name: (-0.8, -0.2)
            for name, known in parameters(family).items()
            if known.role is Role.INPUT
        }
        yield case(
            recipe(family, "adamw", table=UMUP, target="umup"),
            "u-mup",
            split=split,
            expected={**inputs, **family.expected},
            notes="the embedding's rate falls as n^-½ by design, and its loss change with it",
        )


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
            edits = (edit("head.bias", "lr", 2.0 if optimizer in _SQUARED else 1.0),)
        moved = recipe(family, optimizer, *edits, places=READOUT_PLACES[place])
        yield case(moved, place, split=split)
    for family, zero, optimizer in (
        (GEMMA, ("head",), "adam"),
        (BERT, ("decoder",), "adamw"),
        (FLOW, ("*.leave",), "adam"),
        (DENOISER, ("*.film", "head"), "adam"),
        (RADIANCE, ("*_head",), "adam"),
        (ACTOR_CRITIC, ("policy", "value"), "momentum"),
        (DETECTOR, ("*_head",), "sgd"),
        (PATCH_TST, ("head",), "muon"),
    ):
        yield case(
            recipe(family, optimizer, zero=zero),
            "zero-readout",
            split=split,
            notes="at the first update only what starts at zero and its bias have a gradient",
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
        yield case(recipe(family, optimizer, *edits), "moved-factors", split=split)
    for family, norm, optimizer in (
        (BERT, "layers.*.attention_norm", "adam"),
        (BLOOM, "h.*.input_layernorm", "sgd"),
        (TABULAR, "blocks.*.ffn_norm", "adam"),
    ):
        rate = -1.0 if optimizer in _SQUARED else -0.5
        edits = (
            edit(norm, "multiplier", 0.5),
            edit(f"{norm}.weight", "init", -0.5),
            edit((f"{norm}.weight", f"{norm}.bias"), "lr", rate),
        )
        yield case(recipe(family, optimizer, *edits), "moved-gains", split=split)
    for family, optimizer in (
        (GEMMA, "adam"),
        (BLOOM, "adamw"),
        (WAVE_ENCODER, "momentum"),
        (MOBILENET, "adam"),
    ):
        change = edit(BEFORE_NORMS[family], "multiplier", 0.5)
        yield case(
            recipe(family, optimizer, change),
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
        where = BEFORE_NORMS[family]
        rate = 1.0 if optimizer in _SQUARED else 0.5
        edits = (
            edit(where, "init", 0.5),
            edit(where, "lr", rate),
            edit(where, "weight_decay", -rate),
        )
        yield case(
            recipe(family, optimizer, *edits),
            "larger-before-norm",
            split=split,
            notes="the norm behind it leaves only how far a step turns the weight",
        )


def _settings(split: Split) -> Iterator[Case]:
    falls = edit("*", "eps", -1.0)
    for family in (BLOOM, RECOMMENDER):
        yield case(
            recipe(family, "adam", falls, eps=1e-2),
            "scaled-epsilon",
            split=split,
            notes="ε is larger than the gradients, and falls with width as they do",
        )
    for family in (GEMMA, ENSEMBLE, TEXT_CNN):
        yield case(recipe(family, "adamw", weight_decay=10.0), "strong-decay", split=split)
    for family in (DETECTOR, FLOW):
        yield case(recipe(family, "own-adamw", clip=0.1), "clipped", split=split)


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    for rows in (_plain, _tables, _readouts, _rewrites, _settings):
        yield from rows(split)
