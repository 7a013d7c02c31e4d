"""Planted faults of the dev families: rates, inits, multipliers, attention, branches, settings."""

from collections.abc import Iterator, Mapping

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.families import (
    cnn,
    gpt2,
    gqa,
    hugging_face,
    linear_attention,
    looped,
    mlp,
    moe,
    tied,
    torch_encoder,
)
from benchmarks.verdicts.faults import (
    branches,
    clipped,
    epsilon_swallows,
    init_before_norm,
    norm_falls,
    same,
)
from benchmarks.verdicts.plant import Plant, plant
from benchmarks.verdicts.recipe import Family, edit
from benchmarks.verdicts.variants import READOUT_PLACES


def hidden(family: Family) -> tuple[str, ...]:
    """Patterns of a family's hidden matrices."""
    return HIDDEN[family.name]


HIDDEN: Mapping[str, tuple[str, ...]] = {
    "gpt2": ("*.qkv", "*.out", "*.up", "*.down"),
    "tied": ("*.q", "*.k", "*.v", "*.out", "*.up", "*.down"),
    "mlp": ("second", "third"),
    "cnn-bn": ("down", "conv"),
    "cnn-gn": ("down", "conv"),
    "gqa": ("*.q", "*.k", "*.v", "*.out", "*.gate", "*.up", "*.down"),
    "gqa-wide-heads": ("*.q", "*.k", "*.v", "*.out", "*.gate", "*.up", "*.down"),
    "linear-attention": ("*.q", "*.k", "*.v", "*.out", "*.gate"),
    "looped": ("*.qkv", "*.out", "*.up", "*.down"),
    "moe": ("*.mix", "*.experts.*.up", "*.experts.*.down"),
    "torch-encoder": ("*.in_proj_weight", "*.out_proj", "*.linear1", "*.linear2"),
    "hf-gpt2": ("*.c_attn", "*.c_proj", "*.c_fc"),
    "hf-llama": ("*_proj",),
}
#: family → (embedding or first layer, one hidden layer, readout)
LAYERS: Mapping[Family, tuple[str, str, str]] = {
    gpt2.FAMILY: ("tokens", "blocks.1.down", "head"),
    mlp.FAMILY: ("first", "third", "head"),
    cnn.GROUP_NORM: ("stem", "conv", "head"),
    gqa.MORE_HEADS: ("embedding", "blocks.0.attention.v", "head"),
    linear_attention.FAMILY: ("embedding", "mixers.1.out", "head"),
    looped.FAMILY: ("embedding", "block.up", "head"),
}


def _rates() -> Iterator[Plant]:
    for family, (first, layer, head) in LAYERS.items():
        all_hidden = edit(hidden(family), "lr", 1.0)
        yield plant(family, "hidden-rate-unscaled", "adam", all_hidden)
        yield plant(family, "one-rate", "adamw sgd muon", edit(layer, "lr", 1.0))
        yield plant(family, "first-rate-falls", "adam sgd", edit(first, "lr", -1.0))
        yield plant(family, "readout-rate-falls", "adam momentum", edit(head, "lr", -1.0))
        half = edit(hidden(family), "lr", 0.5)
        yield plant(family, "kimi-rate-unscaled", "muon-kimi", half)
    yield plant(gpt2.FAMILY, "bias-rate-grows", "adam", edit("*.bias", "lr", 1.0))
    yield plant(gpt2.FAMILY, "bias-rate-unscaled", "sgd", edit("*.bias", "lr", -1.0))
    yield plant(gpt2.FAMILY, "gain-rate-falls", "adamw sgd", edit("*ln_*.weight", "lr", -1.0))
    yield plant(tied.FAMILY, "tied-rate-falls", "adam sgd", edit("embedding", "lr", -1.0))
    yield plant(moe.FAMILY, "expert-rate", "adam", edit("*.experts.*.up", "lr", 1.0))
    for family in (torch_encoder.FAMILY, hugging_face.GPT2, hugging_face.LLAMA):
        rate = edit(hidden(family), "lr", 1.0)
        yield plant(family, "hidden-rate-unscaled", "adamw muon", rate)
    frozen = edit(hidden(gpt2.FAMILY), "lr", -1.0)
    yield plant(gpt2.FAMILY, "frozen-with-width", "adam muon", frozen)
    yield plant(
        cnn.BATCH_NORM,
        "bias-before-norm",
        "adam",
        edit("stem.bias", "lr", 1.0),
        invisible="BatchNorm removes that bias: its gradient is zero but for rounding",
    )


def _init_and_multipliers() -> Iterator[Plant]:
    for family, (first, layer, head) in LAYERS.items():
        yield plant(family, "one-init-grows", "adam sgd", edit(layer, "init", 0.5))
        yield plant(family, "first-init-falls", "adam", edit(first, "init", -0.5))
        growing = edit(head, "multiplier", 0.5)
        yield plant(family, "readout-by-root", "adam sgd muon", growing)
    for family in (gpt2.FAMILY, gqa.MORE_HEADS, looped.FAMILY):
        for place, attribute in (
            ("readout-input", "input_multiplier"),
            ("readout-loss", "loss_multiplier"),
        ):
            yield plant(
                family,
                f"{place}-by-root",
                "adam sgd",
                edit("", attribute, 0.5),
                tensors=("head",),
                recipe={"places": READOUT_PLACES[place]},
            )
    yield plant(
        tied.FAMILY,
        "readout-by-root",
        "adam sgd",
        edit("", "readout", 0.5),
        tensors=("embedding",),
        also=("embedding.weight",),
    )
    yield from same("gain-grows", ((gpt2.FAMILY, "adam", "blocks.1.ln_2.weight"),))
    yield from norm_falls(((gpt2.FAMILY, "adam sgd", "blocks.1.ln_2", "blocks.1.up"),))
    yield from init_before_norm(((cnn.BATCH_NORM, "adam", "conv", 0.5),))


def _attention_and_branches() -> Iterator[Plant]:
    queries_and_keys = ("*.q", "*.k", "*.attention.qkv")
    attention = ("blocks.0.attention", "blocks.1.attention")
    for family in (gqa.WIDER_HEADS, gqa.MORE_HEADS, gpt2.FAMILY):
        for sign, name in ((0.5, "too-large"), (-0.5, "too-small")):
            yield plant(
                family,
                f"attention-{name}",
                "adam sgd",
                edit(attention, "scale", sign),
                causes={"attention scale": sign, "multiplier": sign},
                also=queries_and_keys,
            )
    for family in (gpt2.FAMILY, gqa.MORE_HEADS, tied.FAMILY):
        for power in (0.5, -0.5):
            where, ends = ("blocks.0", "blocks.1"), ("*.out", "*.down")
            yield from branches(((family, where, "adam momentum", power, ends),))


def _optimizer_settings() -> Iterator[Plant]:
    for family in (gpt2.FAMILY, gqa.MORE_HEADS):
        yield from epsilon_swallows((family,), "adam adamw")
        yield from clipped((family,))
        yield from same("decay-grows", ((family, "adamw", hidden(family)),))
        yield plant(
            family,
            "decay-unscaled",
            "adamw",
            edit(hidden(family), "weight_decay", -1.0),
            invisible="learning rate times decay is 5e-5: three updates show nothing of it; only "
            "the optimizer's groups do",
        )
    rows = ((family, "sgd", layer) for family, (_, layer, _) in LAYERS.items())
    yield from same("gradient-grows", rows)


def cases() -> Iterator[Case]:
    """All of them."""
    for rows in (
        _rates(),
        _init_and_multipliers(),
        _attention_and_branches(),
        _optimizer_settings(),
    ):
        for each in rows:
            yield from each.cases(Split.DEV)
