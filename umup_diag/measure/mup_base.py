"""What ``mup.set_base_shapes`` leaves on a model, read as the model that it was scaled from.

Nothing of the package is imported: its mark is the attribute ``infshape`` of a parameter, a tuple
with ``base_dim`` and ``dim`` for each dimension.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

from umup_diag.measure.layers import NamedTensor, fans, tensors
from umup_diag.measure.trained_with import TRAINED_BY, optimizers_in
from umup_diag.recording import TensorRecord, Value
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.optimizers import rule_of


def base_records(model: nn.Module, optimizer: Any) -> list[TensorRecord]:
    """Shapes and rates of the base model, as `trained_with` records them.

    The package's optimizers are torch's with groups made for each multiplier, and the rate and the
    weight decay that they were called with are left among their defaults: those are the base's.

    Returns:
        Records; empty where not every parameter of the optimizer has a base shape.
    """
    named = [each for each in tensors(model) if each.parameter.requires_grad]
    if not all(hasattr(each.parameter, "infshape") for each in named):
        return []
    found: dict[int, dict[str, float]] = {}
    for each in optimizers_in(optimizer):
        for group in each.param_groups:
            numbers = {
                str(Kind.RATE): float(each.defaults["lr"]),
                str(Kind.DECAY): float(each.defaults.get("weight_decay", 0.0)),
                str(Kind.EPSILON): float(each.defaults.get("eps", 0.0)),
            }
            numbers[str(Kind.WEIGHT_DECAY)] = numbers[Kind.RATE] * numbers[Kind.DECAY]
            rule = rule_of(type(each), group)
            if rule is not None:
                numbers[f"{TRAINED_BY}{rule}"] = 1.0
            found |= {id(parameter): numbers for parameter in group["params"]}
    return [
        record
        for order, each in enumerate(named)
        for record in _records(each, order, found.get(id(each.parameter), {}))
    ]


def _records(named: NamedTensor, order: int, numbers: dict[str, float]) -> Iterator[TensorRecord]:
    infshape: Any = named.parameter.infshape  # type: ignore[attr-defined]
    shape = [dim.dim if dim.base_dim is None else dim.base_dim for dim in infshape]
    for kind, value in {str(Kind.HELD): 1.0, **numbers}.items():
        yield TensorRecord(
            tensor=named.name,
            kind=kind,
            statistics=Value(value=value, count=named.parameter.numel()),
            order=order,
            fans=fans(named.parameter, named.owner, shape=shape),
        )
