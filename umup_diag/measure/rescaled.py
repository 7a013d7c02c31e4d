"""A subject whose tensors are initialised and trained otherwise, by powers of width.

Nothing of the user's code is changed: initial weights are multiplied once the model is built, and
each parameter's group of the optimizer gets its own rate. A multiplier needs no more than that: by
abc-symmetry a layer that multiplies by θ more is one whose weight starts and moves θ times as far.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from umup_diag.measure.layers import tensors
from umup_diag.measure.subject import Subject


class Lever(StrEnum):
    """What can be multiplied from outside."""

    INIT = "initial weights"
    RATE = "learning rate"
    DECAY = "weight decay"
    EPSILON = "Adam's ε"
    LOGITS = "attention logits"


#: Keys of an optimizer's group that a lever multiplies.
_KEYS: Mapping[Lever, tuple[str, ...]] = {
    Lever.RATE: ("lr", "initial_lr"),
    Lever.DECAY: ("weight_decay",),
    Lever.EPSILON: ("eps",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaling:
    """A power of width by which something of a tensor is multiplied.

    Attributes:
        tensor: as recordings name it; a module for attention logits.
        lever: what is multiplied.
        exponent: of width over the base width.
    """

    tensor: str
    lever: Lever
    exponent: float


def rescaled(subject: Subject, changes: Iterable[Rescaling], *, base_width: int) -> Subject:
    """The same subject with these changes, which are none at the base width."""
    powers: dict[Lever, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for change in changes:
        powers[change.lever][change.tensor] += change.exponent
    ratios: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()

    def build(width: int, **sizes: int) -> nn.Module:
        model = subject.build(width, **sizes)
        ratios[model] = ratio = width / base_width
        with torch.no_grad():
            for named in tensors(model):
                if power := powers[Lever.INIT].get(named.name):
                    named.parameter.mul_(ratio**power)
        modules = dict(model.named_modules())
        for name, power in powers[Lever.LOGITS].items():
            if name in modules:
                _multiply_logits(modules[name], ratio**power)
        return model

    def split(model: nn.Module, groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        factors: dict[Tensor, dict[str, float]] = defaultdict(dict)
        for named in tensors(model):
            for lever, keys in _KEYS.items():
                if power := powers[lever].get(named.name):
                    factors[named.parameter] |= dict.fromkeys(keys, ratios[model] ** power)
        return [part for group in groups for part in _parts(group, factors)]

    def parameter_groups(model: nn.Module, **asked: Any) -> list[dict[str, Any]]:
        return split(model, subject.groups(model, **asked))

    def optimizer(model: nn.Module) -> Any:
        assert subject.optimizer is not None
        made = subject.optimizer(model)
        for part in _leaves(made):
            part.param_groups[:] = split(model, part.param_groups)
        return made

    return replace(
        subject,
        build=build,
        parameter_groups=parameter_groups,
        optimizer=None if subject.optimizer is None else optimizer,
    )


def _parts(
    group: Mapping[str, Any], factors: Mapping[Tensor, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A group, and apart from it each of its parameters that has factors of its own."""
    parameters = group["params"]
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    same = [parameter for parameter in parameters if parameter not in factors]
    parts = [{**group, "params": same}] if same else []
    for parameter in parameters:
        if parameter in factors:
            own = {k: group[k] * f for k, f in factors[parameter].items() if k in group}
            parts.append({**group, "params": [parameter], **own})
    return parts


def _leaves(made: Any) -> list[torch.optim.Optimizer]:
    """The optimizers that step: of several, or inside of one that steps its parts."""
    if isinstance(made, list | tuple):
        return [leaf for each in made for leaf in _leaves(each)]
    inner = [
        each
        for value in vars(made).values()
        for each in (value if isinstance(value, list | tuple) else [value])
        if isinstance(each, torch.optim.Optimizer)
    ]
    return [leaf for each in inner for leaf in _leaves(each)] if inner else [made]


class _ScaledLogits(TorchFunctionMode):
    """While active, every softmax and attention gets its logits times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (F.softmax, torch.softmax, Tensor.softmax, F.scaled_dot_product_attention):
            # q and the logits both come first, and q·kᵀ is linear in q
            name = next(iter(kwargs)) if not args else ""
            if name:
                kwargs[name] = kwargs[name] * self.factor
            else:
                args = (args[0] * self.factor, *args[1:])
        return func(*args, **kwargs)


def _multiply_logits(module: nn.Module, factor: float) -> None:
    active: list[ExitStack] = []  # a module may be called inside itself

    def enter(*_: object) -> None:
        active.append(ExitStack())
        active[-1].enter_context(_ScaledLogits(factor))

    def leave(*_: object) -> None:
        active.pop().close()

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave, always_call=True)
