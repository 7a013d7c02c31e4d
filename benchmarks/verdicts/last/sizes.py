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
from benchmarks.verdicts.last.decisions import DUELLING, SIM_SIAM, SPEAKER
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


def _inits() -> Iterator[Plant]:
    yield from same(
        "one-init-grows",
        (
            (XL, "adam", "layers.1.ff_2"),
            (MIN_GRU, "sgd", "layers.0.to_gate"),
            (HAND_LSTM, "adam", "w_h"),
            (DECISION, "muon-kimi", "h.0.proj"),
            (RSSM_FAMILY, "own-adamw", "encode"),
            (SWIN, "momentum", "stage1.1.fc1"),
            (PIXEL_CNN, "adam", "layers.1.mix"),
            (DEEP_SETS, "sgd", "rho_1"),
            (NEURAL_ODE, "torch-muon", "flow.outer"),
            (DEEP_O_NET, "muon-kimi", "trunk_2"),
            (TAGGER, "adamw", "between"),
        ),
    )
    yield from same(
        "one-init-falls",
        ((BAHDANAU, "adam", "read"), (DUELLING, "own-adamw", "online.advantage_1")),
    )
    yield from same(
        "first-init-falls",
        ((XL, "adam", "word_emb"), (DEEP_SETS, "adam", "phi_1")),
    )
    yield from same(
        "first-init-grows",
        ((TAGGER, "adam", "words"), (DIST_MULT, "adam", "relations")),
    )
    yield from same(
        "readout-init-grows",
        ((PIXEL_CNN, "sgd", "logits"), (HAND_LSTM, "momentum", "w_out")),
    )
    yield from init_before_norm(
        (
            (OLMO, "muon", "layers.0.q_proj", 0.5),
            (SPEAKER, "adam", "voices", 0.5),
            (SPEAKER, "momentum", "voices", -0.5),
            (BAG, "adamw", "table", -0.5),
            (SIM_SIAM, "sgd", "projector_1", 0.5),
        )
    )


def _multipliers() -> Iterator[Plant]:
    yield from same(
        "readout-by-root",
        (
            (OLMO, "muon", "lm_head"),
            (XL, "adam", "out_layer"),
            (GMLP_FAMILY, "momentum", "head"),
            (DETR, "sgd", "class_embed"),
            (GAT_FAMILY, "muon", "classify"),
            (NEURAL_ODE, "sgd", "readout"),
            (DUELLING, "adam", "online.value_2"),
        ),
    )
    yield from same(
        "readout-unscaled",
        ((BYTE_AUTOENCODER, "adam", "head"), (SIREN, "sgd", "final"), (BAG, "muon", "topics")),
    )
    yield from same(
        "readout-too-small",
        ((DEEP_SETS, "adamw", "regressor"), (DECISION, "adamw", "predict_action")),
    )
    yield plant(
        TORCH_DECODER,
        "readout-by-root",
        "adam",
        edit("", "output_multiplier", 0.5),
        tensors=("generator",),
    )
    for family, optimizer, power, attribute, tensors in (
        (MIN_GRU, "adam", 0.5, "readout", ("embedding", "embedding.weight")),
        (DIST_MULT, "muon-kimi", 0.5, "score_multiplier", ("relations",)),
        (DIST_MULT, "sgd", 1.0, "score_multiplier", ("relations",)),
        (DEEP_O_NET, "adam", 0.5, "product_multiplier", ("branch_3", "branch_3.bias")),
        (SPEAKER, "adam", 0.5, "scale", ("voices",)),
    ):
        yield plant(
            family,
            "product-by-root" if power < 1 else "product-unscaled",
            optimizer,
            edit("", attribute, power),
            tensors=tensors,
            causes={"multiplier": power},
        )
    yield from same(
        "multiplier-grows",
        (
            (GMLP_FAMILY, "adam", "blocks.0.proj_1"),
            (BAHDANAU, "adamw", "read_state"),
            (RSSM_FAMILY, "adam", "posterior_1"),
        ),
    )
    yield from same(
        "multiplier-falls",
        ((SIREN, "momentum", "net_2"), (DEEP_O_NET, "adam", "branch_2")),
    )
    yield from same(
        "multiplier-forgotten", ((GAT_FAMILY, "adam", "conv2.skip"), (PIXEL_CNN, "adam", "last"))
    )
    yield from norm_falls(
        (
            (DECISION, "adam", "h.1.ln_2", "h.1.fc"),
            (SWIN, "sgd", "stage2.norm2", "stage2.fc1"),
        )
    )
    yield from same(
        "gain-grows",
        ((GMLP_FAMILY, "adam", "blocks.0.norm.weight"),),
        also=("blocks.0.norm",),
    )


def _attention() -> Iterator[Plant]:
    layers: tuple[str, ...] = ("*.query*", "*.key", "*.qkv*", "*.q_net", "*.kv_net*", "*.r_net")
    layers += ("*.q_proj", "*.k_proj", "*.q_norm*", "*.k_norm*")
    yield from attention(
        (
            (DECISION, "h.?.attn", "muon-kimi", 0.5),
            (SWIN, ("stage1.?", "stage2"), "adamw", 0.5),
            (XL, "layers.?", "adam", -0.5),
            (OLMO, "layers.?", "adam", 0.5),
        ),
        also=(*layers, "*.temperature", "*.content_bias", "*.distance_bias"),
    )
    yield from logits_grow(((DECISION, "h.0.attn.query", "h.0.attn.key", "adamw"),))


def _branches() -> Iterator[Plant]:
    yield from branches(
        (
            (XL, "layers.?", "own-adamw", 0.5, ("*.o_net", "*.ff_2")),
            (MIN_GRU, "layers.?", "adam", -0.5, ("*.to_out", "*.down_proj")),
            (DECISION, "h.?", "momentum", 0.5, ("*.attn.dense", "*.proj")),
            (SWIN, ("stage1.?", "stage2"), "adam", 0.5, ("*.proj", "*.fc2")),
            (PIXEL_CNN, "layers.?", "sgd", 0.5, ("*.mix",)),
            (NEURAL_ODE, "", "adam", 0.5, ("flow.outer",)),
            (OLMO, "layers.?", "muon", 0.5, ("*.post_*",)),
            (GMLP_FAMILY, "blocks.?", "own-adamw", -0.5, ("*.proj_2",)),
            (DETR, "", "adamw", 0.5, ("*_attention.out_proj", "linear_2")),
        )
    )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _inits()
    yield from _multipliers()
    yield from _attention()
    yield from _branches()
