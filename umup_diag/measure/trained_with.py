"""What each parameter of a model is trained with, read from its optimizers without a step."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.layers import tensors
from umup_diag.measure.one_schedule_step import one_schedule_step
from umup_diag.recording import TensorRecord, Value
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.optimizers import rule_of
from umup_diag.scaling.update_rules import UpdateRule

Groups = Iterable[Mapping[str, Any]]
TRAINED_BY = "trained_by_"  #: before the name of an update rule, a kind of record
COUPLED = "coupled_decay"  #: kind: 1 where λ goes into the gradient, which Adam then rescales


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedWith:
    """What one group says of its parameters.

    Attributes:
        rule: how the update goes with the gradient; None for an optimizer that is not known.
        lr: the peak's where a scheduler has begun to change it.
        weight_decay: λ.
        is_coupled: whether λ goes into a gradient that is rescaled afterwards.
        rest: kind → number: ε, betas, momentum, where there are such.
    """

    rule: UpdateRule | None
    lr: float
    weight_decay: float
    is_coupled: bool
    rest: Mapping[Kind, float]

    @classmethod
    def of(cls, optimizer: type, group: Mapping[str, Any]) -> "TrainedWith":
        """Of a group of an optimizer of some class."""
        rule = rule_of(optimizer, group)
        rest: dict[Kind, float] = {}
        if rule is UpdateRule.ADAM and "eps" in group:
            rest[Kind.EPSILON] = float(group["eps"])
        for kind, beta in zip((Kind.BETA1, Kind.BETA2), group.get("betas", ()), strict=False):
            rest[kind] = float(beta)
        if "momentum" in group:
            rest[Kind.MOMENTUM] = float(group["momentum"])
        return cls(
            rule=rule,
            lr=peak(group),
            weight_decay=float(group.get("weight_decay", 0.0)),
            is_coupled=group.get("decoupled_weight_decay") is False and rule is UpdateRule.ADAM,
            rest=rest,
        )


def peak(group: Mapping[str, Any]) -> float:
    """A group's learning rate: under a scheduler, what the scheduler multiplies."""
    return float(group.get("initial_lr", group.get("lr", 0.0)))


def optimizers_in(held: Any) -> Iterator[torch.optim.Optimizer]:
    """The optimizers that step: those in a list, side by side, or inside another's wrapper.

    Raises:
        InputError: if one has no groups.
    """
    if isinstance(held, list | tuple):
        for each in held:
            yield from optimizers_in(each)
        return
    for inner in (getattr(held, "parts", None), getattr(held, "optimizer", None)):
        if isinstance(inner, torch.optim.Optimizer | list | tuple):
            yield from optimizers_in(inner)
            return
    if not hasattr(held, "param_groups"):
        raise InputError(
            f"{type(held).__name__} has no param_groups, so its learning rates cannot be read; "
            "give the optimizer of torch's that it steps."
        )
    yield held


def trained_with(
    model: nn.Module, optimizer: Any, *, given: Groups = (), scheduler: Any = None
) -> list[TensorRecord]:
    """A record for each number that a parameter is trained with; frozen ones have none.

    Args:
        model: a bare one.
        optimizer: one, several in a list, or a wrapper that keeps its own under ``optimizer``.
        given: the groups as they were before the optimizer, to see what a wrapper did to them.
        scheduler: is stepped once and put back as it was.

    Returns:
        Records in order of definition.

    Raises:
        InputError: if the optimizer has no groups.
    """
    held: dict[Tensor, list[TrainedWith]] = defaultdict(list)
    for each in optimizers_in(optimizer):
        for group in each.param_groups:
            says = TrainedWith.of(type(each), group)
            for parameter in group["params"]:
                held[parameter].append(says)
    asked = {p: float(group["lr"]) for group in given if "lr" in group for p in group["params"]}
    factors = {} if scheduler is None else one_schedule_step(scheduler)
    has_base_shapes = any(hasattr(named.parameter, "infshape") for named in tensors(model))
    records = []
    for order, named in enumerate(tensors(model)):
        parameter = named.parameter
        if not parameter.requires_grad:
            continue
        found = held.get(parameter, [])
        numbers: dict[str, float] = {Kind.HELD: float(len(found))}
        if found:
            numbers |= _numbers(found[0])
        if parameter in asked:
            numbers[Kind.GIVEN_RATE] = asked[parameter]
        if parameter in factors:
            numbers[Kind.SCHEDULED] = factors[parameter]
        if has_base_shapes:
            numbers[Kind.BASE_SHAPE] = float(hasattr(parameter, "infshape"))
        records += [
            TensorRecord(
                tensor=named.name,
                kind=kind,
                statistics=Value(value=value, count=parameter.numel()),
                order=order,
                fans=named.fans,
            )
            for kind, value in numbers.items()
        ]
    return records


def _numbers(says: TrainedWith) -> dict[str, float]:
    numbers: dict[str, float] = {Kind.RATE: says.lr, Kind.DECAY: says.weight_decay}
    numbers[Kind.WEIGHT_DECAY] = says.lr * says.weight_decay
    if says.is_coupled and says.weight_decay:
        numbers[COUPLED] = 1.0
    if says.rule is not None:
        numbers[f"{TRAINED_BY}{says.rule}"] = 1.0
    return numbers | dict(says.rest)
