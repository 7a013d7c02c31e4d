"""The optimizers that every family is trained with, from groups that say how they are trained."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.verdicts.rules import Role, Rule

Groups = list[dict[str, Any]]
Make = Callable[[Groups], torch.optim.Optimizer]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerChoice:
    """An optimizer and how its rates scale.

    Attributes:
        asked: the name to give as ``--optimizer``; None for a subject's own ``optimizer(model)``.
        make: from parameter groups; unused where torch's is asked for by name.
        matrices: the rule for hidden matrices.
        others: the rule for all other parameters.
        lr: η at the base width for hidden matrices, unless a family has its own.
        other_lr: and for all others.
        weight_decay: λ at the base width.
    """

    asked: str | None
    make: Make
    matrices: Rule
    others: Rule
    lr: float
    other_lr: float
    weight_decay: float = 0.0

    def rule(self, role: Role) -> Rule:
        """What decides the learning rate of a parameter with this role."""
        return self.matrices if role is Role.HIDDEN else self.others


#: Coefficients of the quintic that sends singular values to about 1 (Keller Jordan's Muon).
_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalised(gradient: Tensor, *, steps: int = 5) -> Tensor:
    """UVᵀ of a matrix, or of each in a stack of them, by Newton-Schulz steps in float32."""
    a, b, c = _QUINTIC
    tall = gradient.shape[-2] > gradient.shape[-1]
    x = gradient.mT if tall else gradient
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result


class MuonWithAdam(torch.optim.Optimizer):
    """Muon for groups with ``muon=True``, AdamW for the rest, in one optimizer, as is usual.

    Kernels of convolutions are flattened to (out, in·h·w); stacks of experts are taken one by one.
    """

    def __init__(self, groups: Groups, *, kimi: bool = False) -> None:
        self.kimi = kimi
        super().__init__(groups, {"muon": False, "weight_decay": 0.0, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update."""
        assert closure is None
        for group in self.param_groups:
            update = self._muon if group["muon"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(group["lr"] * update(parameter, group))

    def _muon(self, parameter: Tensor, group: Mapping[str, Any]) -> Tensor:
        state = self.state[parameter]
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(parameter.grad, 0.05)
        nesterov = parameter.grad.lerp(momentum, 0.95)  # type: ignore[union-attr]
        matrix = nesterov.flatten(1) if group.get("flatten", True) else nesterov
        out, into = matrix.shape[-2:]
        size = 0.2 * max(out, into) ** 0.5 if self.kimi else max(1.0, out / into) ** 0.5
        result: Tensor = orthogonalised(matrix).reshape(parameter.shape) * size
        return result

    def _adam(self, parameter: Tensor, group: Mapping[str, Any]) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        state["step"] = step = state.get("step", 0) + 1
        mean = state.setdefault("mean", torch.zeros_like(parameter))
        square = state.setdefault("square", torch.zeros_like(parameter))
        mean.lerp_(parameter.grad, 0.1)
        square.lerp_(parameter.grad.square(), 0.05)
        root = (square / (1 - 0.95**step)).sqrt()
        result: Tensor = mean / (1 - 0.9**step) / (root + group["eps"])
        return result


class Chained(torch.optim.Optimizer):
    """Several optimizers stepped as one."""

    def __init__(self, parts: Iterable[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of each part."""
        assert closure is None
        for part in self.parts:
            part.step()


def _plain(groups: Groups, *drop: str) -> Groups:
    return [{key: group[key] for key in group if key not in drop} for group in groups]


def _adam(groups: Groups) -> torch.optim.Optimizer:
    return torch.optim.Adam(_plain(groups, "muon", "flatten"))


def _adamw(groups: Groups) -> torch.optim.Optimizer:
    return torch.optim.AdamW(_plain(groups, "muon", "flatten"), betas=(0.9, 0.95))


def _sgd(groups: Groups) -> torch.optim.Optimizer:
    return torch.optim.SGD(_plain(groups, "muon", "flatten", "eps"))


def _momentum(groups: Groups) -> torch.optim.Optimizer:
    return torch.optim.SGD(_plain(groups, "muon", "flatten", "eps"), momentum=0.9, nesterov=True)


def _muon(groups: Groups) -> torch.optim.Optimizer:
    return MuonWithAdam(groups)


def _muon_kimi(groups: Groups) -> torch.optim.Optimizer:
    return MuonWithAdam(groups, kimi=True)


def _torch_muon(groups: Groups) -> torch.optim.Optimizer:
    matrices = [group for group in groups if group["muon"]]
    others = [group for group in groups if not group["muon"]]
    return Chained(
        [torch.optim.Muon(_plain(matrices, "muon", "flatten", "eps")), _adamw(others)],
    )


_ADAM: dict[str, Any] = {
    "matrices": Rule.ADAM,
    "others": Rule.ADAM,
    "lr": 2.0**-11,
    "other_lr": 2.0**-11,
}
_SGD: dict[str, Any] = {
    "matrices": Rule.SGD,
    "others": Rule.SGD,
    "lr": 2.0**-4,
    "other_lr": 2.0**-4,
}
_MUON: dict[str, Any] = {"others": Rule.ADAM, "other_lr": 2.0**-11}

#: A case's word for an optimizer → what it is.
OPTIMIZERS: Mapping[str, OptimizerChoice] = {
    "adam": OptimizerChoice(asked="adam", make=_adam, **_ADAM),
    "adamw": OptimizerChoice(asked="adamw", make=_adamw, weight_decay=0.1, **_ADAM),
    "own-adamw": OptimizerChoice(asked=None, make=_adamw, weight_decay=0.1, **_ADAM),
    "sgd": OptimizerChoice(asked="sgd", make=_sgd, **_SGD),
    "momentum": OptimizerChoice(asked=None, make=_momentum, **_SGD),
    "muon": OptimizerChoice(asked=None, make=_muon, matrices=Rule.MUON, lr=2.0**-8, **_MUON),
    "muon-kimi": OptimizerChoice(
        asked=None, make=_muon_kimi, matrices=Rule.MUON_KIMI, lr=2.0**-9, **_MUON
    ),
    "torch-muon": OptimizerChoice(
        asked=None, make=_torch_muon, matrices=Rule.MUON, lr=2.0**-8, **_MUON
    ),
}
