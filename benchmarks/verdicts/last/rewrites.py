"""Models that compute and train as the plain ones do, though their powers of width differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.verdicts.last.decisions import DUELLING, SIM_SIAM, SPEAKER
from benchmarks.verdicts.last.sequences import BAHDANAU, DECISION
from benchmarks.verdicts.last.text import GMLP_FAMILY, MIN_GRU, OLMO, XL
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
from benchmarks.verdicts.recipe import Edit, Family, edit
from benchmarks.verdicts.variants import Where, resized


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """One family under one optimizer, written otherwise.

    Attributes:
        name: in the name of its case.
        family: the model.
        optimizer: a name of `OPTIMIZERS`.
        edits: that leave function and training as they are.
        why: they do.
        expected: as of a case, beside the family's.
    """

    name: str
    family: Family
    optimizer: str
    edits: tuple[Edit, ...]
    why: str
    expected: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def _pairs() -> Iterator[Rewrite]:
    """One layer larger, what undoes it smaller; neither has a multiplier."""
    for name, why, rows in (
        (
            "balanced-queries",
            "logits are products of queries and keys",
            (
                (DECISION, ("*.query", "*.query.bias"), ("*.key", "*.key.bias"), "adam"),
                (DECISION, ("*.query", "*.query.bias"), ("*.key", "*.key.bias"), "momentum"),
                (DECISION, ("*.key", "*.key.bias"), ("*.query", "*.query.bias"), "muon-kimi"),
            ),
        ),
        (
            "balanced-values",
            "nothing nonlinear is between the two",
            (
                (DECISION, ("*.value", "*.value.bias"), ("*.dense",), "adamw"),
                (MIN_GRU, ("*.to_new",), ("*.to_out",), "adam"),
                (MIN_GRU, ("*.up_proj",), ("*.down_proj",), "sgd"),
            ),
        ),
        (
            "balanced-relu",
            "ReLU lets a positive factor through",
            (
                (BYTE_AUTOENCODER, ("down_1", "down_1.bias"), ("down_2",), "adam"),
                (
                    DUELLING,
                    ("online.feature_1", "online.feature_1.bias"),
                    ("online.feature_2",),
                    "sgd",
                ),
                (BAG, ("hidden_1", "hidden_1.bias"), ("hidden_2",), "muon"),
                (XL, ("*.ff_1", "*.ff_1.bias"), ("*.ff_2",), "own-adamw"),
                (DETR, ("linear_1", "linear_1.bias"), ("linear_2",), "adam"),
                (SIM_SIAM, ("predictor_1", "predictor_1.bias"), ("predictor_2",), "adamw"),
            ),
        ),
        (
            "larger-gains",
            "a norm's gain and bias are the size of what is fed to the layers behind it",
            (
                (DECISION, ("*.ln_2.*",), ("*.fc",), "adamw"),
                (GMLP_FAMILY, ("blocks.?.norm.*",), ("*.proj_1",), "adam"),
                (OLMO, ("norm.weight",), ("lm_head",), "sgd"),
                (SWIN, ("*.norm1.*",), ("*.qkv",), "adam"),
            ),
        ),
        (
            "larger-before-norm",
            "the norm behind it leaves only how far a step turns the weight",
            (
                (OLMO, ("*.q_proj", "*.o_proj"), (), "adam"),
                (OLMO, ("*.v_proj",), (), "muon"),
                (BAG, ("table",), (), "adamw"),
                (SPEAKER, ("embedding",), (), "momentum"),
                (SWIN, ("patch_embed", "patch_embed.bias"), (), "momentum"),
                (SPEAKER, ("voices",), (), "adam"),
                (SIM_SIAM, ("projector_1",), (), "sgd"),
            ),
        ),
    ):
        for family, larger, smaller, optimizer in rows:
            edits = resized(larger, 0.5, optimizer)
            if smaller:
                edits += resized(smaller, -0.5, optimizer)
            yield Rewrite(name=name, family=family, optimizer=optimizer, edits=edits, why=why)


def _factors() -> Iterator[Rewrite]:
    """A tensor larger, a multiplier smaller, or the other way round."""
    for family, where, attribute, optimizer, power in (
        (GMLP_FAMILY, "*.proj_1", "multiplier", "momentum", 0.5),
        (SIREN, "net_1", "multiplier", "sgd", -0.5),
        (PIXEL_CNN, "*.mix", "multiplier", "adamw", 0.5),
        (BAHDANAU, "by_memory", "multiplier", "adam", -0.5),
        (DEEP_SETS, "phi_1", "multiplier", "momentum", 0.5),
        (GAT_FAMILY, "conv2.skip", "multiplier", "muon", -0.5),
    ):
        yield Rewrite(
            name="moved-factors",
            family=family,
            optimizer=optimizer,
            edits=(*resized(where, power, optimizer), edit(where, attribute, -power)),
            why="a factor is the weight's or the multiplier's alike",
        )
    for name, family, optimizer, tensors, module, attribute, power in (
        ("larger-relations", DIST_MULT, "adam", "relations", "", "score_multiplier", 0.5),
        ("larger-relations", DIST_MULT, "sgd", "relations", "", "score_multiplier", -0.5),
        ("larger-branch", DEEP_O_NET, "adam", "branch_3*", "", "product_multiplier", 0.5),
        ("moved-branches", MIN_GRU, "adamw", ("*.to_out", "*.down_proj"), "layers.?", "branch", -1),
        ("moved-branches", SWIN, "adam", ("*.proj*", "*.fc2*"), "stage*", "branch", 0.5),
        ("moved-branches", OLMO, "adam", "*.post_*_norm.weight", "layers.?", "branch", 0.5),
        ("moved-branches", NEURAL_ODE, "sgd", "flow.outer*", "", "branch", -0.5),
        ("moved-scale", DECISION, "adam", "*.query*", "h.?.attn", "scale", 0.5),
        ("moved-scale", XL, "momentum", ("*.q_net", "*.*_bias"), "layers.?", "scale", -0.5),
    ):
        modules: Where = ("stage1.?", "stage2") if module == "stage*" else module
        yield Rewrite(
            name=name,
            family=family,
            optimizer=optimizer,
            edits=(*resized(tensors, power, optimizer), edit(modules, attribute, -power)),
            why="what a constant multiplies is as much larger",
        )
    for optimizer in ("adam", "sgd"):
        yield Rewrite(
            name="larger-table",
            family=MIN_GRU,
            optimizer=optimizer,
            edits=(
                *resized("embedding", 0.5, optimizer),
                edit("embedding", "multiplier", -0.5),
                edit("", "readout", -0.5),
            ),
            why="either use of the tied table undoes its size",
        )
    for family, where, optimizer in (
        (OLMO, "*.down_proj", "adamw"),
        (SPEAKER, "voices", "momentum"),
        (SIM_SIAM, "projector_1", "adam"),
    ):
        yield Rewrite(
            name="free-multiplier",
            family=family,
            optimizer=optimizer,
            edits=(edit(where, "multiplier", 0.5),),
            why="the norm behind it takes a layer's multiplier away, forward and backward",
        )


def _gradients() -> Iterator[Rewrite]:
    for family, optimizer in (
        (OLMO, "adam"),
        (DETR, "adamw"),
        (NEURAL_ODE, "muon"),
        (DEEP_SETS, "sgd"),
    ):
        edits: tuple[Edit, ...] = (edit("*", "gradient", 0.5),)
        if optimizer == "sgd":
            edits += (edit("*", "lr", -0.5),)
        yield Rewrite(
            name="summed-gradients",
            family=family,
            optimizer=optimizer,
            edits=edits,
            why="a factor of all gradients, as of a sum in place of a mean: Adam and Muon divide "
            "by it, and SGD's rates make up for it",
            expected={"*": (0.0, 1.0)},  # what is measured has the factor too
        )


REWRITES = (*_pairs(), *_factors(), *_gradients())
