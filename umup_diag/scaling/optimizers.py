"""Optimizers by name, and which update rule an optimizer of any class follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from umup_diag.errors import InputError
from umup_diag.scaling.update_rules import UpdateRule

if TYPE_CHECKING:  # the names are looked up before torch is loaded
    import torch

Groups = list[dict[str, Any]]
USE_MUON = "use_muon"  #: key of a group: whether Muon trains it; else AdamW does


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """An optimizer of torch's, how its update scales, and its settings when none are given.

    Attributes:
        update_rule: how its update goes with the gradient; Muon's, of hidden matrices.
        build: from parameter groups.
        default_lr: for a model that names none.
        needs_groups: whether the model must say in its groups what it trains.
        decays: whether weight decay is p ← p − lr·λ·p, apart from the gradient.
    """

    update_rule: UpdateRule
    build: "Callable[[Groups], torch.optim.Optimizer]"
    default_lr: float
    needs_groups: bool = False
    decays: bool = True


def _adam(groups: Groups) -> "torch.optim.Optimizer":
    import torch

    return torch.optim.Adam(groups, betas=(0.9, 0.999), fused=True)


def _adamw(groups: Groups) -> "torch.optim.Optimizer":
    import torch

    # torch's default, 0.01 at every width, is a decay that nobody chose and µP does not allow
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=0.0, fused=True)


def _sgd(groups: Groups) -> "torch.optim.Optimizer":
    import torch

    return torch.optim.SGD(groups)


def _muon(adjust_lr_fn: str) -> "Callable[[Groups], torch.optim.Optimizer]":
    """Muon for the groups with ``use_muon``, AdamW for the rest, as is usual."""

    def build(groups: Groups) -> "torch.optim.Optimizer":
        import torch

        from umup_diag.scaling.side_by_side import SideBySide

        if not hasattr(torch.optim, "Muon"):
            raise InputError(
                f"torch {torch.__version__} has no Muon; 2.9 and later do. Give another as "
                "optimizer(model) in your model's module."
            )
        mine: Groups = []
        others: Groups = []
        for group in groups:
            if USE_MUON not in group:
                raise InputError(
                    "Muon trains hidden matrices and AdamW the rest: say which in "
                    "parameter_groups(...), by use_muon = True or False in every group."
                )
            rest = {key: value for key, value in group.items() if key != USE_MUON}
            (mine if group[USE_MUON] else others).append(rest)
        parts: list[torch.optim.Optimizer] = []
        if mine:
            parts.append(torch.optim.Muon(mine, weight_decay=0.0, adjust_lr_fn=adjust_lr_fn))
        if others:
            parts.append(_adamw(others))
        return parts[0] if len(parts) == 1 else SideBySide(parts)

    return build


#: name on the command line → optimizer.
OPTIMIZERS: Mapping[str, OptimizerSpec] = {
    "adam": OptimizerSpec(
        update_rule=UpdateRule.ADAM, build=_adam, default_lr=2.0**-13, decays=False
    ),
    "adamw": OptimizerSpec(update_rule=UpdateRule.ADAM, build=_adamw, default_lr=2.0**-13),
    "sgd": OptimizerSpec(update_rule=UpdateRule.SGD, build=_sgd, default_lr=2.0**-8),
    "muon": OptimizerSpec(
        update_rule=UpdateRule.MUON,
        build=_muon("original"),
        default_lr=2.0**-6,
        needs_groups=True,
    ),
    "muon-kimi": OptimizerSpec(
        update_rule=UpdateRule.MUON_KIMI,
        build=_muon("match_rms_adamw"),
        default_lr=2.0**-11,
        needs_groups=True,
    ),
}


def get(name: str) -> OptimizerSpec:
    """The optimizer called `name`.

    Raises:
        InputError: if there is none.
    """
    try:
        return OPTIMIZERS[name]
    except KeyError:
        raise InputError(
            f"there is no optimizer {name!r}; there are {', '.join(OPTIMIZERS)}. Give any other "
            "as optimizer(model) in your model's module."
        ) from None


#: Share of an update that Adam's ε may take, each element weighed by its gradient: a tenth is a
#: tenth of the learning rate.
EPSILON_TAKES = 0.1

#: Part of a class's name, in lower case → its rule; the first that fits, so the longer come first.
_CLASSES: Mapping[str, UpdateRule] = {
    "muon": UpdateRule.MUON,
    "soap": UpdateRule.SOAP,
    "shampoo": UpdateRule.SHAMPOO,
    "sgd": UpdateRule.SGD,
    "adam": UpdateRule.ADAM,  # AdamW, NAdam, RAdam, MuAdam, …
    "adagrad": UpdateRule.ADAM,
    "adafactor": UpdateRule.ADAM,
    "rmsprop": UpdateRule.ADAM,
    "lion": UpdateRule.ADAM,
    "sign": UpdateRule.ADAM,
}


def rule_of(optimizer: type, group: Mapping[str, Any]) -> UpdateRule | None:
    """The update rule of a class of optimizers for one of its groups; None if it is not known.

    Args:
        optimizer: the class; what it is called decides, and what its bases are called.
        group: of its ``param_groups``: Muon's factor and ``use_muon`` are there.
    """
    for base in optimizer.__mro__:
        name = base.__name__.lower()
        rule = next((rule for part, rule in _CLASSES.items() if part in name), None)
        if rule is UpdateRule.MUON:
            if not group.get(USE_MUON, True):
                return UpdateRule.ADAM
            is_kimi = group.get("adjust_lr_fn") == "match_rms_adamw" or "kimi" in name
            return UpdateRule.MUON_KIMI if is_kimi else UpdateRule.MUON
        if rule is not None:
            return rule
    return None
