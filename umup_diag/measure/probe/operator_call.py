"""The use of a weight by an operator that is given it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.measure.probe.call import Call
from umup_diag.scaling.roles import Fans

Function = Callable[..., Any]
Chain = Callable[[Tensor], Tensor]  #: from a parameter to what an operator takes of it

ADDING = frozenset({torch.addmm, torch.baddbmm})  #: to their first argument


@dataclass(slots=True, kw_only=True)
class OperatorCall(Call):
    """One call of an operator.

    Attributes:
        parameter: that takes part.
        function: the operator.
        args: as it got them.
        kwargs: likewise.
        operand: the argument that is made of the parameter.
        chain: how.
    """

    parameter: nn.Parameter
    function: Function
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    operand: Tensor
    chain: Chain

    @property
    def weight(self) -> nn.Parameter:
        """The parameter."""
        return self.parameter

    @property
    def given(self) -> Tensor | None:
        """What multiplies the operand: the first tensor beside it that is not added."""
        args = self.args[self.function in ADDING :]
        return next((x for x in tensors_in(args) if x is not self.operand), None)

    @property
    def has_more(self) -> bool:
        """Whether there is a bias."""
        return len(tensors_in((*self.args, *self.kwargs.values()))) > 2

    def forward(self, weight: Tensor) -> Tensor | None:
        """Run the operator again."""
        with torch.no_grad():
            out = self._run(self.chain(weight), lambda other: other)
        return out if out.shape == self.out.shape else None

    def plain(self, weight: Tensor) -> Tensor | None:
        """The operator on the operand without what multiplies it, or adds to it."""
        scale = self._scale()
        if not scale:
            return None
        with torch.no_grad():
            out = self._run(self.chain(weight), lambda other: other)
            bias = self._run(torch.zeros_like(self.operand), lambda other: other)
        return (out - bias) / scale

    @torch.no_grad()
    def fans(self) -> Fans | None:
        """By what the operator makes of ones: the number of terms that it adds up."""
        scale = self._scale()
        given = self.given
        if not scale or given is None or not given.is_floating_point():
            return None
        ones = self._run(torch.ones_like(self.operand), torch.ones_like)
        none = self._run(torch.zeros_like(self.operand), torch.ones_like)
        fan_in = round(float((ones - none).max()))
        return Fans(fan_in=fan_in, fan_out=self.weight.numel() // fan_in) if fan_in else None

    def _scale(self) -> float:
        """The constant by which the chain multiplies; 0 if it does more than that."""
        with torch.no_grad():
            ones = self.chain(torch.ones_like(self.weight)).flatten()
        first = float(ones[0]) if ones.numel() else 0.0
        return first if bool((ones == first).all()) else 0.0

    def _run(self, operand: Tensor, other: Chain) -> Tensor:
        def put(value: Any) -> Any:
            if value is self.operand:
                return operand
            if isinstance(value, list | tuple):
                return type(value)(map(put, value))
            is_input = isinstance(value, Tensor) and value.is_floating_point()
            return other(value) if is_input else value

        kwargs = {name: put(value) for name, value in self.kwargs.items()}
        with self.in_its_precision():
            out: Tensor = self.function(*map(put, self.args), **kwargs)
        return out


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """All tensors among arguments, lists looked into."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found
