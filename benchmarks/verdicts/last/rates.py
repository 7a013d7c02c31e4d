"""Planted faults of rates, of vectors' rates, and of an optimizer's settings."""

from collections.abc import Iterator

from benchmarks.verdicts.faults import clipped, epsilon_swallows, same
from benchmarks.verdicts.last.decisions import DUELLING, MULTI_GATE, SPEAKER
from benchmarks.verdicts.last.sequences import BAHDANAU, DECISION, RSSM_FAMILY, TORCH_DECODER
from benchmarks.verdicts.last.text import GMLP_FAMILY, HAND_LSTM, MIN_GRU, OLMO, TAGGER, XL
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
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import edit


def _rates() -> Iterator[Plant]:
    yield from same(
        "one-rate",
        (
            (OLMO, "adamw", "layers.1.mlp.gate_proj"),
            (XL, "muon-kimi", "layers.0.ff_1"),
            (MIN_GRU, "muon", "layers.1.to_gate"),
            (HAND_LSTM, "adam", "w_h"),
            (TAGGER, "sgd", "between"),
            (BAHDANAU, "adam", "write_state"),
            (RSSM_FAMILY, "adam", "cell_x"),
            (SWIN, "adam", "reduction"),
            (DETR, "muon", "linear_2"),
            (BYTE_AUTOENCODER, "adamw", "inner"),
            (SIREN, "torch-muon", "net_2"),
            (GAT_FAMILY, "sgd", "conv2.skip"),
            (NEURAL_ODE, "momentum", "flow.inner"),
            (DEEP_O_NET, "adam", "branch_2"),
            (MULTI_GATE, "muon-kimi", "experts_out.1"),
        ),
    )
    yield from same(
        "one-rate-falls",
        (
            (TAGGER, "adam", "lstm.weight_hh_l0"),
            (DETR, "adam", "cross_attention.in_proj_weight"),
            (RSSM_FAMILY, "muon", "decode_state"),
        ),
    )
    yield from same(
        "one-rate-by-root",
        (
            (MIN_GRU, "adamw", "layers.0.ffn.down_proj"),
            (SWIN, "adamw", "stage2.fc1"),
            (DECISION, "muon-kimi", "h.0.attn.value"),
        ),
    )
    yield from same(
        "first-rate-falls",
        (
            (XL, "momentum", "word_emb"),
            (BAHDANAU, "adam", "source"),
            (SIREN, "sgd", "net_0"),
            (DUELLING, "muon", "online.feature_1"),
            (BYTE_AUTOENCODER, "adam", "bytes"),
        ),
    )
    yield from same(
        "readout-rate-falls",
        (
            (OLMO, "sgd", "lm_head"),
            (DECISION, "momentum", "predict_action"),
            (NEURAL_ODE, "torch-muon", "readout"),
        ),
    )
    for family, optimizer, where in (
        (PIXEL_CNN, "adamw", "logits"),
        (DEEP_SETS, "momentum", "regressor"),
    ):
        yield plant(family, "readout-rate-grows", optimizer, edit(where, "lr", 0.5))
    yield from same(
        "shared-rate-falls",
        ((MIN_GRU, "adam", "embedding"), (DIST_MULT, "adam", "entities")),
    )
    yield from same("rate-before-norm", ((BAG, "adam", "table"),))
    yield from same(
        "hidden-rate-unscaled",
        (
            (DUELLING, "adam", ("*.feature_2", "*.value_1", "*.advantage_1")),
            (SIREN, "adamw", ("net_1", "net_2")),
        ),
    )
    yield from same(
        "kimi-rate-unscaled",
        (
            (DIST_MULT, "muon-kimi", ("transform_?",)),
            (MULTI_GATE, "muon-kimi", ("experts_out.?", "*_tower")),
        ),
    )
    yield from same(
        "head-forgotten",
        (
            (OLMO, "adam", "lm_head"),
            (SWIN, "adamw", "head"),
            (DEEP_SETS, "adam", "regressor"),
        ),
    )


def _vectors() -> Iterator[Plant]:
    """Biases, gains, attention vectors, biases of distances."""
    yield from same(
        "bias-rate-grows",
        (
            (DECISION, "adamw", "*.fc.bias"),
            (SIREN, "adam", "net_?.bias"),
            (HAND_LSTM, "muon-kimi", "b"),
        ),
    )
    yield from same(
        "bias-rate-unscaled",
        ((BAHDANAU, "sgd", "write.bias"), (DEEP_SETS, "momentum", "rho_?.bias")),
    )
    yield plant(SWIN, "gain-rate-grows", "adam", edit("*.norm2.weight", "lr", 1.0))
    yield plant(GMLP_FAMILY, "gain-rate-falls", "own-adamw", edit("*.?.norm.weight", "lr", -1.0))
    yield plant(SPEAKER, "gain-rate-unscaled", "momentum", edit("norm_1.weight", "lr", -1.0))
    yield plant(SWIN, "distance-rate-grows", "adamw", edit("*.relative_position_bias", "lr", 1.0))
    yield plant(GAT_FAMILY, "attention-rate-falls", "adam", edit("*.att_src", "lr", -1.0))
    yield plant(OLMO, "gain-rate-grows", "adam", edit("*.q_norm.weight", "lr", 1.0))


def _settings() -> Iterator[Plant]:
    yield from epsilon_swallows((MIN_GRU, SWIN))
    yield from same("one-epsilon", ((DECISION, "adam", "h.*.proj"), (SIREN, "adam", "net_2")))
    yield from clipped((DUELLING, PIXEL_CNN))
    yield from same(
        "decay-grows",
        (
            (TORCH_DECODER, "adamw", ("*.linear?",)),
            (BYTE_AUTOENCODER, "adamw", ("down_?", "inner", "up_?")),
        ),
    )
    yield from same(
        "gradient-grows", ((BAHDANAU, "sgd", "write"), (NEURAL_ODE, "sgd", "flow.outer"))
    )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _rates()
    yield from _vectors()
    yield from _settings()
