"""Correct µP models of the last families: each under its optimizers, tables and settings."""

from collections.abc import Iterator, Mapping

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.last.decisions import DUELLING, MULTI_GATE, SIM_SIAM, SPEAKER
from benchmarks.verdicts.last.rewrites import REWRITES
from benchmarks.verdicts.last.sequences import BAHDANAU, DECISION, RSSM_FAMILY, TORCH_DECODER
from benchmarks.verdicts.last.text import (
    GMLP_FAMILY,
    HAND_LSTM,
    MIN_GRU,
    OLMO,
    TAGGER,
    XL,
)
from benchmarks.verdicts.last.vectors import (
    BAG,
    DEEP_O_NET,
    DEEP_SETS,
    DIST_MULT,
    GAT_FAMILY,
    NEURAL_ODE,
    SIREN,
)
from benchmarks.verdicts.last.vision import BYTE_AUTOENCODER, DETR, PIXEL_CNN, SWIN
from benchmarks.verdicts.recipe import Family, edit
from benchmarks.verdicts.rules import MEAN_FIELD, TABLE_3, TABLE_9, Table
from benchmarks.verdicts.variants import (
    READOUT_PLACES,
    by_table,
    case,
    clipped,
    lean,
    plain,
    scaled_epsilon,
    strong_decay,
    u_mup,
    zero_readouts,
)

#: family → optimizers. Muon goes where a batch has no more tokens, nodes or pixels than the
#: narrowest model has channels. SGD stays away from what is read out as one number and from the
#: deep convolutions of few positions: the noise of their first gradients hides any power.
PLAIN: Mapping[Family, str] = {
    OLMO: "adam sgd muon",
    XL: "adam momentum muon-kimi",
    MIN_GRU: "adamw sgd muon",
    HAND_LSTM: "adam sgd muon-kimi",
    TAGGER: "adam sgd muon",
    GMLP_FAMILY: "adam own-adamw momentum",
    BAHDANAU: "adam adamw sgd muon",
    TORCH_DECODER: "adamw sgd torch-muon",
    DECISION: "adam momentum muon-kimi",
    RSSM_FAMILY: "adam own-adamw muon",
    SWIN: "adam adamw momentum",
    DETR: "adam sgd muon",
    PIXEL_CNN: "adam adamw sgd",
    BYTE_AUTOENCODER: "adam adamw own-adamw",
    SIREN: "adamw sgd torch-muon",
    DEEP_SETS: "adam sgd momentum",
    GAT_FAMILY: "own-adamw sgd muon",
    DIST_MULT: "adam sgd muon-kimi",
    NEURAL_ODE: "adam momentum torch-muon",
    BAG: "adamw momentum muon",
    DEEP_O_NET: "adam adamw muon-kimi",
    SPEAKER: "adam adamw momentum",
    MULTI_GATE: "adam own-adamw muon-kimi",
    DUELLING: "own-adamw sgd muon",
    SIM_SIAM: "adam sgd torch-muon",
}
TABLES: Mapping[str, tuple[Table, tuple[tuple[Family, str], ...]]] = {
    "table-3": (
        TABLE_3,
        (
            (XL, "adam"),
            (HAND_LSTM, "sgd"),
            (TORCH_DECODER, "adamw"),
            (DETR, "adam"),
            (DUELLING, "muon"),
            (SPEAKER, "adam"),
        ),
    ),
    "mean-field": (
        MEAN_FIELD,
        (
            (MIN_GRU, "adam"),
            (GMLP_FAMILY, "own-adamw"),
            (PIXEL_CNN, "adam"),
            (GAT_FAMILY, "sgd"),
            (NEURAL_ODE, "muon"),
            (RSSM_FAMILY, "adam"),
        ),
    ),
    "table-9": (TABLE_9, ((OLMO, "adamw"), (SIREN, "momentum"), (DEEP_SETS, "adam"))),
}
ZERO_READOUTS = (
    (OLMO, ("lm_head",), "adam"),
    (SWIN, ("head",), "momentum"),
    (DUELLING, ("online.*_2",), "adam"),
    (TAGGER, ("tags",), "sgd"),
    (DETR, ("class_embed",), "muon"),
)


def _tables(split: Split) -> Iterator[Case]:
    for variant, (table, rows) in TABLES.items():
        yield from by_table(variant, table, rows, split)
    yield u_mup(OLMO, split)


def _readouts(split: Split) -> Iterator[Case]:
    for family, head, place, optimizer in (
        (OLMO, "lm_head", "readout-output", "sgd"),
        (SIREN, "final", "readout-input", "adam"),
        (SWIN, "head", "readout-input", "adamw"),
        (NEURAL_ODE, "readout", "readout-loss", "adam"),
        (HAND_LSTM, "w_out", "readout-input", "momentum"),
        (TORCH_DECODER, "generator", "readout-loss", "sgd"),
    ):
        (at,) = READOUT_PLACES[place].values()
        yield case(lean(family, optimizer, places={head: at}), place, split=split)
    for family, head, optimizer in (
        (OLMO, "lm_head", "adam"),
        (HAND_LSTM, "w_out", "adam"),
        (NEURAL_ODE, "readout", "sgd"),
    ):
        halves = (edit("", "input_multiplier", 0.5), edit("", "output_multiplier", -0.5))
        places = {head: ("", "input_multiplier")}
        moved = lean(family, optimizer, *halves, places=places)
        yield case(moved, "readout-split", split=split)
    yield from zero_readouts(ZERO_READOUTS, split)


def _rewrites(split: Split) -> Iterator[Case]:
    for each in REWRITES:
        changed = lean(each.family, each.optimizer, *each.edits)
        yield case(
            changed,
            each.name,
            split=split,
            expected={**each.family.expected, **each.expected},
            notes=each.why,
        )


def _settings(split: Split) -> Iterator[Case]:
    for family in (MIN_GRU, GAT_FAMILY):
        yield scaled_epsilon(family, split)
    for family in (SWIN, TORCH_DECODER):
        yield strong_decay(family, split)
    for family in (BYTE_AUTOENCODER, DUELLING):
        yield clipped(family, split)


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    yield from plain(PLAIN, split)
    for rows in (_tables, _readouts, _rewrites, _settings):
        yield from rows(split)
