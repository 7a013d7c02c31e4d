"""Planted faults of rates, of vectors' rates, and of an optimizer's settings."""

from collections.abc import Iterator

from benchmarks.verdicts.fresh.plants import planted, same
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
from benchmarks.verdicts.plant import Plant
from benchmarks.verdicts.recipe import edit
from benchmarks.verdicts.rules import TABLE_3


def _rates() -> Iterator[Plant]:
    yield from same(
        "one-rate",
        "lr",
        1.0,
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
        "lr",
        -1.0,
        (
            (TAGGER, "adam", "lstm.weight_hh_l0"),
            (DETR, "adam", "cross_attention.in_proj_weight"),
            (RSSM_FAMILY, "muon", "decode_state"),
        ),
    )
    yield from same(
        "one-rate-by-root",
        "lr",
        0.5,
        (
            (MIN_GRU, "adamw", "layers.0.ffn.down_proj"),
            (SWIN, "adamw", "stage2.fc1"),
            (DECISION, "muon-kimi", "h.0.attn.value"),
        ),
    )
    yield from same(
        "first-rate-falls",
        "lr",
        -1.0,
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
        "lr",
        -1.0,
        (
            (OLMO, "sgd", "lm_head"),
            (DECISION, "momentum", "predict_action"),
            (NEURAL_ODE, "torch-muon", "readout"),
        ),
    )
    yield from same(
        "readout-rate-grows",
        "lr",
        0.5,
        ((PIXEL_CNN, "adamw", "logits"), (DEEP_SETS, "momentum", "regressor")),
    )
    yield from same(
        "shared-rate-falls",
        "lr",
        -1.0,
        ((MIN_GRU, "adam", "embedding"), (DIST_MULT, "adam", "entities")),
    )
    yield planted(
        BAG,
        "rate-before-norm",
        "adam",
        edit("table", "lr", -1.0),
        causes={"learning rate": -1.0, "init": 1.0},
    )
    for family, optimizer, where, power in (
        (DUELLING, "adam", ("*.feature_2", "*.value_1", "*.advantage_1"), 1.0),
        (SIREN, "adamw", ("net_1", "net_2"), 1.0),
        (DIST_MULT, "muon-kimi", ("transform_?",), 0.5),
        (MULTI_GATE, "muon-kimi", ("experts_out.?", "*_tower"), 0.5),
    ):
        name = "kimi-rate-unscaled" if optimizer == "muon-kimi" else "hidden-rate-unscaled"
        yield planted(family, name, optimizer, edit(where, "lr", power))
    for family, optimizer, head in (
        (OLMO, "adam", "lm_head"),
        (SWIN, "adamw", "head"),
        (DEEP_SETS, "adam", "regressor"),
    ):
        yield planted(
            family, "head-forgotten", optimizer, edit(head, "lr", 1.0), recipe={"table": TABLE_3}
        )


def _vectors() -> Iterator[Plant]:
    """Biases, gains, attention vectors, biases of distances."""
    yield from same(
        "bias-rate-grows",
        "lr",
        1.0,
        (
            (DECISION, "adamw", "*.fc.bias"),
            (SIREN, "adam", "net_?.bias"),
            (HAND_LSTM, "muon-kimi", "b"),
        ),
    )
    yield from same(
        "bias-rate-unscaled",
        "lr",
        -1.0,
        ((BAHDANAU, "sgd", "write.bias"), (DEEP_SETS, "momentum", "rho_?.bias")),
    )
    yield planted(SWIN, "gain-rate-grows", "adam", edit("*.norm2.weight", "lr", 1.0))
    yield planted(GMLP_FAMILY, "gain-rate-falls", "own-adamw", edit("*.?.norm.weight", "lr", -1.0))
    yield planted(SPEAKER, "gain-rate-unscaled", "momentum", edit("norm_1.weight", "lr", -1.0))
    yield planted(SWIN, "distance-rate-grows", "adamw", edit("*.relative_position_bias", "lr", 1.0))
    yield planted(GAT_FAMILY, "attention-rate-falls", "adam", edit("*.att_src", "lr", -1.0))
    yield planted(OLMO, "gain-rate-grows", "adam", edit("*.q_norm.weight", "lr", 1.0))


def _settings() -> Iterator[Plant]:
    for family in (MIN_GRU, SWIN):
        yield planted(
            family,
            "epsilon-swallows",
            "adam",
            tensors=("*",),
            causes={"epsilon": 1.0},
            recipe={"eps": 1e-2},
        )
    for family, where in ((DECISION, "h.*.proj"), (SIREN, "net_2")):
        yield planted(
            family,
            "one-epsilon",
            "adam",
            edit(where, "eps", 1.0),
            besides=(edit("*", "eps", -1.0),),
            recipe={"eps": 1e-2},
        )
    # Here the readout dominates the gradient's norm, which therefore falls as n^-½ and is cut less.
    for family in (DUELLING, PIXEL_CNN):
        yield planted(
            family,
            "clipped",
            "momentum",
            tensors=("*",),
            causes={"clipping": 0.5},
            recipe={"clip": 0.1},
        )
    for family, layers in (
        (TORCH_DECODER, ("*.linear?",)),
        (BYTE_AUTOENCODER, ("down_?", "inner", "up_?")),
    ):
        yield planted(
            family,
            "decay-grows",
            "adamw",
            edit(layers, "weight_decay", 1.0),
            recipe={"weight_decay": 20.0},
        )
    for family, layer in ((BAHDANAU, "write"), (NEURAL_ODE, "flow.outer")):
        yield planted(
            family,
            "gradient-grows",
            "sgd",
            edit(layer, "gradient", 0.5),
            causes={"gradient scale": 0.5, "learning rate": 0.5},
        )


def plants() -> Iterator[Plant]:
    """All of them."""
    yield from _rates()
    yield from _vectors()
    yield from _settings()
