"""Planted faults of inits, multipliers, attention and residual branches."""

from collections.abc import Iterator

from benchmarks.verdicts.fresh.plants import planted, same
from benchmarks.verdicts.last.decisions import DUELLING, SIM_SIAM, SPEAKER
from benchmarks.verdicts.last.rewrites import rate_power
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
from benchmarks.verdicts.plant import Plant
from benchmarks.verdicts.recipe import edit
from benchmarks.verdicts.rules import MEAN_FIELD


def _inits() -> Iterator[Plant]:
    yield from same(
        "one-init-grows",
        "init",
        0.5,
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
        "init",
        -0.5,
        ((BAHDANAU, "adam", "read"), (DUELLING, "own-adamw", "online.advantage_1")),
    )
    yield from same(
        "first-init-falls",
        "init",
        -0.5,
        ((XL, "adam", "word_emb"), (DEEP_SETS, "adam", "phi_1")),
    )
    yield from same(
        "first-init-grows",
        "init",
        0.5,
        ((TAGGER, "adam", "words"), (DIST_MULT, "adam", "relations")),
    )
    yield from same(
        "readout-init-grows",
        "init",
        0.5,
        ((PIXEL_CNN, "sgd", "logits"), (HAND_LSTM, "momentum", "w_out")),
    )
    # Where a norm takes the layer's size away, init and rate are one fault: what counts is how far
    # a step turns the weight, which is Δ/W, and under SGD Δ is itself as 1/W.
    for family, optimizer, where, power in (
        (OLMO, "muon", "layers.0.q_proj", 0.5),
        (SPEAKER, "adam", "voices", 0.5),
        (SPEAKER, "momentum", "voices", -0.5),
        (BAG, "adamw", "table", -0.5),
        (SIM_SIAM, "sgd", "projector_1", 0.5),
    ):
        yield planted(
            family,
            "init-before-norm",
            optimizer,
            edit(where, "init", power),
            causes={"init": power, "learning rate": -rate_power(optimizer, power)},
        )


def _multipliers() -> Iterator[Plant]:
    yield from same(
        "readout-by-root",
        "multiplier",
        0.5,
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
        "multiplier",
        1.0,
        ((BYTE_AUTOENCODER, "adam", "head"), (SIREN, "sgd", "final"), (BAG, "muon", "topics")),
    )
    yield from same(
        "readout-too-small",
        "multiplier",
        -0.5,
        ((DEEP_SETS, "adamw", "regressor"), (DECISION, "adamw", "predict_action")),
    )
    yield planted(
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
        yield planted(
            family,
            "product-by-root" if power < 1 else "product-unscaled",
            optimizer,
            edit("", attribute, power),
            tensors=tensors,
            causes={"multiplier": power},
        )
    yield from same(
        "multiplier-grows",
        "multiplier",
        0.5,
        (
            (GMLP_FAMILY, "adam", "blocks.0.proj_1"),
            (BAHDANAU, "adamw", "read_state"),
            (RSSM_FAMILY, "adam", "posterior_1"),
        ),
    )
    yield from same(
        "multiplier-falls",
        "multiplier",
        -0.5,
        ((SIREN, "momentum", "net_2"), (DEEP_O_NET, "adam", "branch_2")),
    )
    for family, where in ((GAT_FAMILY, "conv2.skip"), (PIXEL_CNN, "last")):
        yield planted(
            family,
            "multiplier-forgotten",
            "adam",
            edit(where, "multiplier", 0.5),
            recipe={"table": MEAN_FIELD},
        )
    for family, optimizer, norm, after in (
        (DECISION, "adam", "h.1.ln_2", "h.1.fc"),
        (SWIN, "sgd", "stage2.norm2", "stage2.fc1"),
    ):
        yield planted(
            family,
            "norm-falls",
            optimizer,
            edit(norm, "multiplier", -0.5),
            tensors=(f"{norm}*",),
            also=(after,),
        )
    yield planted(
        GMLP_FAMILY,
        "gain-grows",
        "adam",
        edit("blocks.0.norm.weight", "init", 0.5),
        causes={"init": 0.5, "multiplier": 0.5},
        also=("blocks.0.norm",),
    )


def _attention() -> Iterator[Plant]:
    layers: tuple[str, ...] = ("*.query*", "*.key", "*.qkv*", "*.q_net", "*.kv_net*", "*.r_net")
    layers += ("*.q_proj", "*.k_proj", "*.q_norm*", "*.k_norm*")
    for family, where, optimizer, power in (
        (DECISION, "h.?.attn", "muon-kimi", 0.5),
        (SWIN, ("stage1.?", "stage2"), "adamw", 0.5),
        (XL, "layers.?", "adam", -0.5),
        (OLMO, "layers.?", "adam", 0.5),
    ):
        yield planted(
            family,
            "attention-grows" if power > 0 else "attention-falls",
            optimizer,
            edit(where, "scale", power),
            causes={"attention scale": power, "multiplier": power},
            also=(*layers, "*.temperature", "*.content_bias", "*.distance_bias"),
        )
    yield planted(
        DECISION,
        "logits-grow",
        "adamw",
        edit("h.0.attn.query", "multiplier", 0.5),
        causes={"multiplier": 0.5, "attention scale": 0.5},
        also=("h.0.attn.key", "h.0.attn"),
    )


def _branches() -> Iterator[Plant]:
    for family, where, optimizer, power, ends in (
        (XL, "layers.?", "own-adamw", 0.5, ("*.o_net", "*.ff_2")),
        (MIN_GRU, "layers.?", "adam", -0.5, ("*.to_out", "*.down_proj")),
        (DECISION, "h.?", "momentum", 0.5, ("*.attn.dense", "*.proj")),
        (SWIN, ("stage1.?", "stage2"), "adam", 0.5, ("*.proj", "*.fc2")),
        (PIXEL_CNN, "layers.?", "sgd", 0.5, ("*.mix",)),
        (NEURAL_ODE, "", "adam", 0.5, ("flow.outer",)),
        (OLMO, "layers.?", "muon", 0.5, ("*.post_*",)),
        (GMLP_FAMILY, "blocks.?", "own-adamw", -0.5, ("*.proj_2",)),
        (DETR, "", "adamw", 0.5, ("*_attention.out_proj", "linear_2")),
    ):
        yield planted(
            family,
            "branch-grows" if power > 0 else "branch-falls",
            optimizer,
            edit(where, "branch", power),
            tensors=ends,
            also=tuple(f"{end}.bias" for end in ends),
        )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _inits()
    yield from _multipliers()
    yield from _attention()
    yield from _branches()
