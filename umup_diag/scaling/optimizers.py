"""Optimizers by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from umup_diag.errors import InputError
from umup_diag.scaling.schemes import UpdateRule


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """An optimizer of torch's, how its update scales, and its settings when none are given.

    Attributes:
        update_rule: how its update goes with the gradient.
        build: from parameter groups.
        default_lr: for a model that names none.
    """

    update_rule: UpdateRule
    build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    default_lr: float


def _adam(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, betas=(0.9, 0.999), fused=True)


def _adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    # torch's default, 0.01 at every width, is a decay that nobody chose and µP does not allow
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=0.0, fused=True)


def _sgd(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups)


#: name on the command line → optimizer.
OPTIMIZERS: Mapping[str, OptimizerSpec] = {
    "adam": OptimizerSpec(update_rule=UpdateRule.ADAM, build=_adam, default_lr=2.0**-13),
    "adamw": OptimizerSpec(update_rule=UpdateRule.ADAM, build=_adamw, default_lr=2.0**-13),
    "sgd": OptimizerSpec(update_rule=UpdateRule.SGD, build=_sgd, default_lr=2.0**-8),
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
