"""Planted faults of the untouched families."""

from collections.abc import Iterator, Mapping
from itertools import cycle

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.faults import (
    attention,
    branches,
    clipped,
    epsilon_swallows,
    norm_falls,
    same,
)
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import Family, edit
from benchmarks.verdicts.untouched.healthy import LORA_RECIPE, LORA_START
from benchmarks.verdicts.untouched.recurrent import (
    LSTM_FAMILY,
    RETENTION,
    RWKV,
    SHARED_EXPERTS,
    WAVENET,
)
from benchmarks.verdicts.untouched.transformers import (
    CAPTIONER,
    DROPOUT,
    LATENT,
    LORA,
    PARALLEL,
    POST_NORM,
    QK_NORM,
    RELATIVE,
    SANDWICH,
)
from benchmarks.verdicts.untouched.vectors import DLRM_FAMILY, GRAPH, TWO_TOWERS, VAE_FAMILY
from benchmarks.verdicts.untouched.vision import CONVNEXT, PERCEIVER, RESNET, TRANSPOSED, VIT

#: family → (first layer, one hidden matrix, readout)
LAYERS: Mapping[Family, tuple[str, str, str]] = {
    QK_NORM: ("embedding", "blocks.0.ffn.up", "head"),
    POST_NORM: ("embedding", "blocks.1.ffn.down", "head"),
    PARALLEL: ("embedding", "blocks.0.into", "head"),
    RELATIVE: ("embedding", "down.1", "head"),
    SANDWICH: ("embedding", "blocks.0.attention.v", "head"),
    LATENT: ("embedding", "blocks.1.mix.kv_up", "head"),
    CAPTIONER: ("embedding", "over_tokens.in_proj_weight", "head"),
    DROPOUT: ("embedding", "blocks.0.ffn.0.down", "head"),
    RETENTION: ("embedding", "blocks.0.mix.gate", "head"),
    RWKV: ("embedding", "blocks.1.mix.value", "head"),
    LSTM_FAMILY: ("embedding", "lstm.weight_hh_l0", "head"),
    WAVENET: ("embedding", "residual.1", "head"),
    SHARED_EXPERTS: ("embedding", "blocks.0.ffn.shared_down", "head"),
    RESNET: ("stem", "blocks.1.conv", "head"),
    CONVNEXT: ("stem", "blocks.1.ffn.up", "head"),
    VIT: ("patches", "blocks.0.mix.out", "head"),
    PERCEIVER: ("latents", "block.ffn.down", "head"),
    TRANSPOSED: ("stem", "up", "head"),
    GRAPH: ("encode", "message.1", "head"),
    DLRM_FAMILY: ("tables.1", "top_dense", "head"),
    TWO_TOWERS: ("left_1", "right_2", ""),
    VAE_FAMILY: ("encode_1", "decode_2", "head"),
}
#: Where what follows takes the size of a layer away again, so that init and rate are one fault.
_NORMED = {"init": 0.5, "learning rate": -0.5}


def _rates() -> Iterator[Plant]:
    for (family, (_, layer, _)), optimizer in zip(
        LAYERS.items(), cycle(("adam", "momentum", "muon", "adamw", "sgd")), strict=False
    ):
        yield plant(family, "one-rate", optimizer, edit(layer, "lr", 1.0))
    for (family, (first, _, _)), optimizer in zip(
        list(LAYERS.items())[::2], cycle(("sgd", "adam", "muon-kimi")), strict=False
    ):
        yield plant(family, "first-rate-falls", optimizer, edit(first, "lr", -1.0))
    for family, where in (
        (PARALLEL, ("*.into", "*.out", "*.down")),
        (RWKV, ("*.receptance", "*.key", "*.value", "*.out")),
        (VIT, ("*.q", "*.k", "*.v", "*.out", "*.up", "*.down")),
    ):
        yield plant(family, "kimi-rate-unscaled", "muon-kimi", edit(where, "lr", 0.5))
    yield from same("head-forgotten", ((POST_NORM, "adam", "head"),))
    yield plant(QK_NORM, "frozen-with-width", "adamw", edit(("*.up", "*.down"), "lr", -1.0))
    yield plant(LSTM_FAMILY, "recurrent-rates", "adam", edit("lstm.weight_*", "lr", 1.0))
    yield plant(SHARED_EXPERTS, "expert-rate", "adam", edit("*.ffn.up", "lr", 1.0))
    yield plant(VIT, "positions-rate-falls", "adam", edit("positions", "lr", -1.0))
    yield plant(RELATIVE, "distances-rate-grows", "adam", edit("distances", "lr", 1.0))
    yield plant(CONVNEXT, "depthwise-as-hidden", "adam", edit("*.depthwise", "lr", -1.0))
    yield plant(
        LORA,
        "one-rate-for-both",
        "adamw",
        edit("*.a", "lr", 1.0),
        recipe={key: LORA_RECIPE[key] for key in ("table", "zero")},
        besides=(LORA_START,),
    )
    yield plant(
        LORA,
        "second-rate-falls",
        "adam",
        edit("*.b", "lr", -1.0),
        recipe={key: LORA_RECIPE[key] for key in ("table", "zero")},
        besides=(LORA_START,),
    )


def _vectors() -> Iterator[Plant]:
    """Biases, gains, decays, scales of layers."""
    yield plant(POST_NORM, "bias-rate-grows", "adam", edit("*.ffn.*.bias", "lr", 1.0))
    yield plant(DROPOUT, "bias-rate-unscaled", "sgd", edit("*.ffn.*.bias", "lr", -1.0))
    yield plant(SANDWICH, "gain-rate-falls", "adamw", edit("*.after_?.weight", "lr", -1.0))
    yield plant(SANDWICH, "layer-scale-rate-grows", "adam", edit("*.scale_?", "lr", 1.0))
    yield plant(CONVNEXT, "layer-scale-unscaled", "momentum", edit("*.gamma", "lr", -1.0))
    yield plant(RWKV, "decay-rate-grows", "adam", edit("*.decay", "lr", 1.0))
    yield plant(RWKV, "shift-rate-unscaled", "sgd", edit("*.mix_?", "lr", -1.0))
    yield plant(RESNET, "norm-bias-rate-falls", "adam", edit("*norm_?.bias", "lr", -1.0))


def _init_and_multipliers() -> Iterator[Plant]:
    for family, optimizer, normed in (
        (QK_NORM, "adam", False),
        (PARALLEL, "sgd", False),
        (LATENT, "muon", False),
        (DROPOUT, "adam", False),
        (WAVENET, "adamw", False),
        (SHARED_EXPERTS, "sgd", False),
        (RESNET, "adam", True),
        (CONVNEXT, "momentum", False),
        (GRAPH, "adam", False),
        (TWO_TOWERS, "adam", True),
    ):
        yield plant(
            family,
            "one-init-grows",
            optimizer,
            edit(LAYERS[family][1], "init", 0.5),
            causes=_NORMED if normed else {},
        )
    for family, optimizer in (
        (POST_NORM, "adam"),
        (RELATIVE, "sgd"),
        (CAPTIONER, "adamw"),
        (RETENTION, "muon"),
        (LSTM_FAMILY, "adam"),
        (VIT, "momentum"),
        (PERCEIVER, "adam"),
        (TRANSPOSED, "muon-kimi"),
        (DLRM_FAMILY, "sgd"),
    ):
        yield plant(family, "readout-by-root", optimizer, edit("head", "multiplier", 0.5))
    yield plant(VAE_FAMILY, "code-by-root", "adam", edit("mean", "multiplier", 0.5))
    yield plant(RETENTION, "first-init-falls", "adam", edit("embedding", "init", -0.5))
    yield plant(WAVENET, "first-init-falls", "momentum", edit("embedding", "init", -0.5))
    yield plant(LATENT, "value-multiplier-falls", "adam", edit("*.kv_up", "multiplier", -0.5))
    yield from norm_falls(((QK_NORM, "adam", "blocks.1.norm_2", "blocks.1.ffn.up"),))
    yield from same("gain-grows", ((DROPOUT, "sgd", "blocks.0.norm_2.weight"),))


def _attention_and_branches() -> Iterator[Plant]:
    yield from attention(
        (
            (QK_NORM, "blocks.*.mix", "adam", 0.5),
            (POST_NORM, "blocks.*.attention", "sgd", 0.5),
            (LATENT, "blocks.*.mix", "momentum", 0.5),
            (VIT, "blocks.*.mix", "adam", 0.5),
            (PARALLEL, "blocks.?", "adamw", -0.5),
        ),
        also=("*.q", "*.k", "*.q_norm*", "*.k_norm*", "*.q_up", "*.kv_up", "*.into"),
    )
    yield plant(
        DLRM_FAMILY,
        "interaction-by-root",
        "adam",
        edit("", "interaction", 0.5),
        tensors=("top_pairs",),
        causes={"multiplier": 0.5, "attention scale": 0.5},
        also=("tables.*", "bottom_2"),
    )
    yield from branches(
        (
            (PARALLEL, "blocks.?", "adam", 0.5, ("*.out", "*.down")),
            (RELATIVE, "", "momentum", 0.5, ("out.*", "down.*")),
            (RETENTION, "blocks.?", "adam", -0.5, ("*.out", "*.down")),
            (WAVENET, "", "adam", 0.5, ("residual.*",)),
            (VIT, "blocks.?", "sgd", 0.5, ("*.out", "*.down")),
            (GRAPH, "", "adamw", -0.5, ("own.*", "message.*")),
        )
    )
    yield plant(
        SANDWICH,
        "branch-grows",
        "adam",
        edit("blocks.?", "branch", 0.5),
        tensors=("*.after_?*",),
        also=("*.scale_?",),
    )


def _optimizer_settings() -> Iterator[Plant]:
    yield from epsilon_swallows((RETENTION, GRAPH, VIT))
    yield from clipped((QK_NORM, CONVNEXT))
    yield from same(
        "decay-grows",
        (
            (POST_NORM, "adamw", ("*.q", "*.k", "*.v", "*.out", "*.up", "*.down")),
            (PERCEIVER, "adamw", ("*.up", "*.down")),
        ),
    )
    yield plant(
        LATENT,
        "decay-unscaled",
        "adamw",
        edit(("*.up", "*.down"), "weight_decay", -1.0),
        invisible="learning rate times decay is 5e-5: three updates show nothing of it; only the "
        "optimizer's groups do",
    )
    rows = ((family, "sgd", LAYERS[family][1]) for family in (GRAPH, WAVENET, PARALLEL))
    yield from same("gradient-grows", rows)


def cases(split: Split) -> Iterator[Case]:
    """All of them."""
    for rows in (
        _rates(),
        _vectors(),
        _init_and_multipliers(),
        _attention_and_branches(),
        _optimizer_settings(),
    ):
        for each in rows:
            yield from each.cases(split)
