"""Faults of projects that implement µP or Muon, each replayed in its smallest form.

What went wrong is from the thread that is cited; the code is ours. Where a project's own constants
do not depend on width they are left out. Each thread was read, and `says` is what it says, in our
words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.families import cnn, gpt2, gqa, mlp, tied
from benchmarks.verdicts.plant import plant
from benchmarks.verdicts.planted import hidden
from benchmarks.verdicts.recipe import Edit, Family, edit
from benchmarks.verdicts.rules import TABLE_3


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """One fault that somebody had.

    Attributes:
        name: in the name of its case, after ``real-``.
        source: the public issue or pull request.
        says: what went wrong, as the thread has it.
        family: that it is replayed in.
        optimizer: that trains it.
        edits: the replay.
        more: other fields of the `Plant`.
    """

    name: str
    source: str
    says: str
    family: Family
    optimizer: str
    edits: tuple[Edit, ...]
    more: Mapping[str, Any] = field(default_factory=dict)

    def cases(self) -> Iterator[Case]:
        """One."""
        planted = plant(
            self.family,
            f"real-{self.name}",
            self.optimizer,
            *self.edits,
            source=self.source,
            **self.more,
        )
        yield from planted.cases(Split.DEV)


_GPT, _LLAMA = gpt2.FAMILY, gqa.MORE_HEADS
_HIDDEN = hidden(_GPT)
_QUERIES_AND_KEYS = {"also": ("*.q", "*.k")}

FAULTS = (
    Real(
        name="init-by-m",
        source="EleutherAI/gpt-neox#1087",
        says="initial weights are divided by the width multiplier and not by its root",
        family=_GPT,
        optimizer="adam",
        edits=(edit(_HIDDEN, "init", -0.5),),
    ),
    Real(
        name="multiplied-twice",
        source="EleutherAI/gpt-neox#1087",
        says="the readout's 1/m stands in the forward pass of the parallel linear layers too",
        family=_GPT,
        optimizer="adam",
        edits=(
            edit(
                ("blocks.*.qkv", "blocks.*.out", "blocks.*.up", "blocks.*.down"), "multiplier", -1
            ),
        ),
    ),
    Real(
        name="never-used-mup",
        source="EleutherAI/gpt-neox#1061",
        says="every class is built with use_mup = False, and the flag is set when all is built",
        family=_GPT,
        optimizer="adam",
        edits=(
            edit(_HIDDEN, "lr", 1.0),
            edit("head", "init", 0.5),
            edit("head", "lr", 1.0),
        ),
        more={
            "tensors": (*_HIDDEN, "head"),
            "causes": {"learning rate": 1.0},
            "recipe": {"table": TABLE_3},
        },
    ),
    Real(
        name="no-width-mult",
        source="microsoft/mup#65",
        says="MuAdam's groups lack the width_mult that gpt-neox's schedule multiplies rates by",
        family=_GPT,
        optimizer="own-adamw",
        edits=(edit(_HIDDEN, "lr", 1.0),),
    ),
    Real(
        name="use-mup-set-late",
        source="EleutherAI/gpt-neox#956",
        says="the coord check's plot is not flat: while the model is built use_mup is off, so that "
        "multipliers are not used",
        family=_LLAMA,
        optimizer="adam",
        edits=(edit("head", "multiplier", 1.0),),
    ),
    Real(
        name="constant-warmup",
        source="huggingface/nanotron#404",
        says="a constant warm-up sets every group to the global rate, not to its own",
        family=_LLAMA,
        optimizer="own-adamw",
        edits=(edit(hidden(_LLAMA), "lr", 1.0),),
    ),
    Real(
        name="groups-discarded",
        source="deepspeedai/DeepSpeed#8440",
        says="Muon's set-up flattens the groups it is given: their rates and decay are lost",
        family=_GPT,
        optimizer="muon",
        edits=(edit("head", "lr", 1.0),),
        more={"recipe": {"table": TABLE_3}},
    ),
    Real(
        name="muon-disabled",
        source="deepspeedai/DeepSpeed#8438",
        says="partitioned weights look one-dimensional, so that all are trained by AdamW",
        family=_GPT,
        optimizer="own-adamw",
        edits=(edit(_HIDDEN, "lr", 1.0),),
    ),
    Real(
        name="scheduler-one-rate",
        source="deepspeedai/DeepSpeed#7713",
        says="with a scheduler, the rates of Muon's and of Adam's groups become one",
        family=_GPT,
        optimizer="muon-kimi",
        edits=(edit(_HIDDEN, "lr", 0.5),),
    ),
    Real(
        name="conv-steps-too-small",
        source="huggingface/pytorch-image-models#2791",
        says="the step of a kernel is sized by its height and width and not by all of it, and is "
        "too small by the root of in·out",
        family=cnn.GROUP_NORM,
        optimizer="muon-kimi",
        edits=(edit(("down", "conv"), "lr", -1.0),),
    ),
    Real(
        name="head-forgotten",
        source="mlfoundations/open_lm#25",
        says="the list of layers whose rates are scaled lacks the head",
        family=_GPT,
        optimizer="adamw",
        edits=(edit("head", "lr", 1.0),),
        more={"recipe": {"table": TABLE_3}},
    ),
    Real(
        name="attention-root-d",
        source="cloneofsimo/minRF#10",
        says="attention is scaled by 1/√d where µP asks for 1/d",
        family=gqa.WIDER_HEADS,
        optimizer="adam",
        edits=(edit("*.attention", "scale", 0.5),),
        more=_QUERIES_AND_KEYS,
    ),
    Real(
        name="attention-inlined",
        source="huggingface/transformers#45848",
        says="models that write the scale into the forward pass have no attribute to correct, and "
        "silently keep 1/√d",
        family=gqa.WIDER_HEADS,
        optimizer="own-adamw",
        edits=(edit("*.attention", "scale", 0.5),),
        more=_QUERIES_AND_KEYS,
    ),
    Real(
        name="sgd-taken-as-invariant",
        source="NVIDIA/Megatron-LM#3058",
        says="under SGD no rate is scaled, for it is taken to be invariant to width",
        family=_GPT,
        optimizer="sgd",
        edits=(edit(("tokens", "positions", "head", "*.bias", "*ln_*.weight"), "lr", -1.0),),
    ),
    Real(
        name="projection-init",
        source="NVIDIA/Megatron-LM#3058",
        says="the init of the projections that end a branch knows the depth, but not the width",
        family=_LLAMA,
        optimizer="adam",
        edits=(edit(("*.out", "*.down"), "init", 0.5),),
    ),
    Real(
        name="queries-as-outputs",
        source="marin-community/levanter#1231",
        says="queries and keys are built as output layers, as if their size did not grow: init 1 "
        "and a multiplier of 1/n, which is an init of 1/n at the same rate",
        family=_LLAMA,
        optimizer="adam",
        edits=(edit(("*.q", "*.k"), "init", -0.5),),
    ),
    Real(
        name="plain-optimizer",
        source="microsoft/mup#73",
        says="mup.Adam is torch's own Adam, taken by mistake for MuAdam",
        family=mlp.FAMILY,
        optimizer="adam",
        edits=(edit(("second", "third"), "lr", 1.0),),
    ),
    Real(
        name="coupled-decay",
        source="microsoft/mup#73",
        says="MuAdam's weight decay does not scale with width, which no coord check shows",
        family=mlp.FAMILY,
        optimizer="adamw",
        edits=(edit(("second", "third"), "weight_decay", -1.0),),
        more={"invisible": "learning rate times decay is tiny: a coordinate check cannot see it"},
    ),
    Real(
        name="no-readout",
        source="OpenBioML/protein-lm-scaling#64",
        says="the head is a plain linear layer, and not a MuReadout",
        family=_GPT,
        optimizer="adamw",
        edits=(edit("head", "multiplier", 1.0),),
    ),
    Real(
        name="tied-rescaled",
        source="microsoft/mup#55",
        says="a readout that shares the embedding rescales it by the root of the width multiplier",
        family=tied.FAMILY,
        optimizer="adam",
        edits=(edit("embedding", "init", 0.5),),
    ),
    Real(
        name="no-base-shapes",
        source="microsoft/mup#41",
        says="without base shapes the target's own are taken: a µP optimizer then trains the "
        "standard parametrization",
        family=mlp.FAMILY,
        optimizer="sgd",
        edits=(
            edit(("first", "*.bias"), "lr", -1.0),
            edit("head", "lr", 1.0),
            edit("head", "init", 0.5),
        ),
        more={
            "tensors": ("first", "head", "*.bias"),
            "causes": {"learning rate": -1.0, "init": 0.5},
            "recipe": {"table": TABLE_3},
        },
    ),
)


def cases() -> Iterator[Case]:
    """All of them."""
    for fault in FAULTS:
        yield from fault.cases()
