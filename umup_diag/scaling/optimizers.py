"""Optimizers by name, and what a scheme asks of their parameter groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from umup_diag.errors import InputError
from umup_diag.scaling.schemes import Family, Scales, Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """An optimizer of torch's, how its update scales, and its settings when none are given.

    Attributes:
        family: how the update goes with the gradient.
        build: from parameter groups.
        default_lr: for a model that names none.
    """

    family: Family
    build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    default_lr: float


def _adam(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, betas=(0.9, 0.999), fused=True)


def _adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), fused=True)


def _sgd(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups)


#: name on the command line → optimizer.
OPTIMIZERS: Mapping[str, OptimizerSpec] = {
    "adam": OptimizerSpec(family=Family.ADAM, build=_adam, default_lr=2.0**-13),
    "adamw": OptimizerSpec(family=Family.ADAM, build=_adamw, default_lr=2.0**-13),
    "sgd": OptimizerSpec(family=Family.SGD, build=_sgd, default_lr=2.0**-8),
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


def parameter_group(
    parameter: Tensor,
    scheme: Scheme,
    scales: Scales,
    *,
    optimizer: str,
    lr: float,
    width: int,
    weight_decay: float = 0.0,
    eps: float = 1e-8,
) -> dict[str, Any]:
    """One parameter with the learning rate, ε and weight decay that its scheme gives it.

    PyTorch decays by lr · weight_decay. Schemes with independent weight decay hold that product at
    ``lr * weight_decay`` for every parameter, width and depth, so it still follows the schedule.

    Args:
        parameter: what to train.
        scheme: the parametrization.
        scales: what the scheme gives this parameter (`Scheme.scales`).
        optimizer: a name in `OPTIMIZERS`.
        lr: η, the rate that the scheme's rules multiply.
        width: of the model.
        weight_decay: λ.
        eps: Adam's ε at the scheme's base width.
    """
    family = get(optimizer).family
    factor = scales.lr[family]
    decay = weight_decay / factor if scheme.independent_weight_decay else weight_decay
    group: dict[str, Any] = {"params": [parameter], "lr": lr * factor, "weight_decay": decay}
    if family is Family.ADAM:
        group["eps"] = eps * (width / (scheme.base_width or 1)) ** scheme.adam_eps
    return group
