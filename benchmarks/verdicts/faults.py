"""Planted faults of the dev families: each a healthy recipe with one thing wrong, as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.verdicts.case import Case, Fault, Split
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
from benchmarks.verdicts.healthy import READOUT_PLACES, case
from benchmarks.verdicts.recipe import Edit, Family, Recipe, edit
from benchmarks.verdicts.rules import TABLE_3

#: An edit's `what` → the cause to be named; any other is a multiplier.
CAUSES = {
    "lr": "learning rate",
    "init": "init",
    "eps": "epsilon",
    "weight_decay": "weight decay",
    "gradient": "gradient",
    "scale": "attention scale",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One fault under several optimizers.

    Attributes:
        name: in the names of its cases.
        family: that it is planted in.
        optimizers: each gives a case.
        edits: the fault.
        tensors: at fault, as patterns; by default where the first edit is.
        causes: cause → power; by default what the first edit says.
        also: other tensors that may be named as rightly.
        invisible: why a short run cannot see it.
        source: the public issue or pull request that it replays.
        recipe: other fields of the recipe.
    """

    name: str
    family: Family
    optimizers: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    tensors: tuple[str, ...] = ()
    causes: Mapping[str, float] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    invisible: str = ""
    source: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def cases(self, split: Split) -> Iterator[Case]:
        """A case for each optimizer."""
        tensors = self.tensors or self.edits[0].where
        causes = self.causes or {
            CAUSES.get(change.what, "multiplier"): change.power for change in self.edits[:1]
        }
        fault = Fault(
            tensors=tensors,
            causes=causes,
            also=self.also,
            invisible=self.invisible,
            source=self.source,
        )
        for optimizer in self.optimizers:
            recipe = Recipe(
                family=self.family, optimizer=optimizer, edits=self.edits, **self.recipe
            )
            yield case(recipe, self.name, split=split, fault=fault, notes=self.source)


def plant(family: Family, name: str, optimizers: str, *edits: Edit, **more: Any) -> Plant:
    """Short for `Plant`; optimizers separated by blanks."""
    return Plant(
        family=family, name=name, optimizers=tuple(optimizers.split()), edits=edits, **more
    )


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
    )
    gains = edit("blocks.1.ln_2.weight", "init", 0.5)
    yield plant(gpt2.FAMILY, "gain-grows", "adam", gains, causes={"init": 0.5, "multiplier": 0.5})
    norm = edit("blocks.1.ln_2", "multiplier", -0.5)
    yield plant(
        gpt2.FAMILY,
        "norm-falls",
        "adam sgd",
        norm,
        tensors=("blocks.1.ln_2*",),
        also=("blocks.1.up",),
    )
    yield plant(
        cnn.BATCH_NORM,
        "init-before-norm",
        "adam",
        edit("conv", "init", 0.5),
        causes={"init": 0.5, "learning rate": -0.5},
    )


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
        for power, name in ((0.5, "grows"), (-0.5, "falls")):
            yield plant(
                family,
                f"branch-{name}",
                "adam momentum",
                edit(("blocks.0", "blocks.1"), "branch", power),
                tensors=("*.out", "*.down"),
                also=("*.out.bias", "*.down.bias"),
            )


def _optimizer_settings() -> Iterator[Plant]:
    for family in (gpt2.FAMILY, gqa.MORE_HEADS):
        yield plant(
            family,
            "epsilon-swallows",
            "adam adamw",
            tensors=("*",),
            causes={"epsilon": -1.0},
            recipe={"eps": 1e-2},
        )
        yield plant(
            family,
            "clipped",
            "momentum",
            tensors=("*",),
            causes={"clipping": 0.5},
            recipe={"clip": 0.1},
        )
        yield plant(
            family,
            "decay-grows",
            "adamw",
            edit(hidden(family), "weight_decay", 1.0),
            recipe={"weight_decay": 20.0},
        )
        yield plant(
            family,
            "decay-unscaled",
            "adamw",
            edit(hidden(family), "weight_decay", -1.0),
            invisible="learning rate times decay is 5e-5: three updates show nothing of it; only "
            "the optimizer's groups do",
        )
    for family, (_, layer, _) in LAYERS.items():
        yield plant(
            family,
            "gradient-grows",
            "sgd",
            edit(layer, "gradient", 0.5),
            causes={"gradient": 0.5, "learning rate": 0.5},
        )


def _real() -> Iterator[Plant]:
    """Faults of projects that implement µP, replayed as edits; facts from the sources cited."""
    gpt, llama = gpt2.FAMILY, gqa.MORE_HEADS
    h = hidden(gpt)
    rate = edit(h, "lr", 1.0)
    rows: tuple[tuple[str, Family, str, str, tuple[Edit, ...], dict[str, Any]], ...] = (
        ("init-by-m", gpt, "adam", "EleutherAI/gpt-neox#1087", (edit(h, "init", -0.5),), {}),
        (
            "multiplied-twice",
            gpt,
            "adam",
            "EleutherAI/gpt-neox#1087",
            (
                edit(
                    ("blocks.*.qkv", "blocks.*.out", "blocks.*.up", "blocks.*.down"),
                    "multiplier",
                    -1,
                ),
            ),
            {},
        ),
        (
            "never-used-mup",
            gpt,
            "adam",
            "EleutherAI/gpt-neox#1061",
            (rate, edit("head", "init", 0.5), edit("head", "lr", 1.0)),
            {
                "tensors": (*h, "head"),
                "causes": {"learning rate": 1.0},
                "recipe": {"table": TABLE_3},
            },
        ),
        ("no-width-mult", gpt, "own-adamw", "microsoft/mup#65", (rate,), {}),
        (
            "use-mup-set-late",
            llama,
            "adam",
            "EleutherAI/gpt-neox#956",
            (edit("head", "multiplier", 1.0),),
            {},
        ),
        (
            "constant-warmup",
            llama,
            "own-adamw",
            "huggingface/nanotron#404",
            (edit(hidden(llama), "lr", 1.0),),
            {},
        ),
        (
            "groups-discarded",
            gpt,
            "muon",
            "deepspeedai/DeepSpeed#8440",
            (edit("head", "lr", 1.0),),
            {"recipe": {"table": TABLE_3}},
        ),
        ("muon-disabled", gpt, "own-adamw", "deepspeedai/DeepSpeed#8438", (rate,), {}),
        (
            "scheduler-one-rate",
            gpt,
            "muon-kimi",
            "deepspeedai/DeepSpeed#7713",
            (edit(h, "lr", 0.5),),
            {},
        ),
        (
            "conv-steps-too-small",
            cnn.GROUP_NORM,
            "muon-kimi",
            "huggingface/pytorch-image-models#2791",
            (edit(("down", "conv"), "lr", -0.5),),
            {},
        ),
        (
            "head-forgotten",
            gpt,
            "adamw",
            "mlfoundations/open_lm#25",
            (edit("head", "lr", 1.0),),
            {"recipe": {"table": TABLE_3}},
        ),
        (
            "attention-root-d",
            gqa.WIDER_HEADS,
            "adam",
            "cloneofsimo/minRF#10",
            (edit("*.attention", "scale", 0.5),),
            {"also": ("*.q", "*.k")},
        ),
        (
            "attention-not-wired",
            gqa.WIDER_HEADS,
            "adamw",
            "gmboquet/mixle#258",
            (edit("*.attention", "scale", 0.5),),
            {"also": ("*.q", "*.k")},
        ),
        (
            "attention-inlined",
            gqa.WIDER_HEADS,
            "own-adamw",
            "huggingface/transformers#45848",
            (edit("*.attention", "scale", 0.5),),
            {"also": ("*.q", "*.k")},
        ),
        (
            "sgd-taken-as-invariant",
            gpt,
            "sgd",
            "NVIDIA/Megatron-LM#3058",
            (edit(("tokens", "positions", "head", "*.bias", "*ln_*.weight"), "lr", -1.0),),
            {},
        ),
        (
            "projection-init",
            llama,
            "adam",
            "NVIDIA/Megatron-LM#3058",
            (edit(("*.out", "*.down"), "init", 0.5),),
            {},
        ),
        (
            "queries-as-outputs",
            llama,
            "adam",
            "marin-community/levanter#1231",
            (edit(("*.q", "*.k"), "init", -0.5),),
            {},
        ),
        (
            "plain-optimizer",
            mlp.FAMILY,
            "adam",
            "microsoft/mup#73",
            (edit(("second", "third"), "lr", 1.0),),
            {},
        ),
        (
            "coupled-decay",
            mlp.FAMILY,
            "adamw",
            "microsoft/mup#73",
            (edit(("second", "third"), "weight_decay", -1.0),),
            {"invisible": "learning rate times decay is tiny: a coordinate check cannot see it"},
        ),
        (
            "no-readout",
            gpt,
            "adamw",
            "OpenBioML/protein-lm-scaling#64",
            (edit("head", "multiplier", 1.0),),
            {},
        ),
        (
            "tied-rescaled",
            tied.FAMILY,
            "adam",
            "microsoft/mup#55",
            (edit("embedding", "init", 0.5),),
            {},
        ),
        (
            "no-base-shapes",
            mlp.FAMILY,
            "sgd",
            "microsoft/mup#41",
            (edit(("first", "head", "*.bias"), "lr", -1.0),),
            {},
        ),
        (
            "init-again",
            llama,
            "adamw",
            "OpenBioML/protein-lm-scaling#64",
            (edit(hidden(llama), "init", 0.5),),
            {},
        ),
    )
    for name, family, optimizer, source, edits, more in rows:
        yield plant(family, f"real-{name}", optimizer, *edits, source=source, **more)


def cases() -> Iterator[Case]:
    """All of the dev split."""
    for rows in (
        _rates(),
        _init_and_multipliers(),
        _attention_and_branches(),
        _optimizer_settings(),
        _real(),
    ):
        for each in rows:
            yield from each.cases(Split.DEV)
