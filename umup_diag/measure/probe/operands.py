"""Uses of weights that no layer owns, or whose layer is passed by: seen at the operator.

``x @ self.w``, ``einsum("bi,io->bo", x, w)``, the fused projection of `nn.MultiheadAttention`: a
mode sees the operator and knows the parameter again, also through views and constants
(``w.T * m``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from umup_diag.measure.backward import in_backward
from umup_diag.measure.probe.operator_call import ADDING, Chain, Function, OperatorCall, tensors_in

#: Operators that are linear in each of two tensors.
_PRODUCTS: frozenset[Function] = frozenset(
    {
        F.linear,
        F.conv1d,
        F.conv2d,
        F.conv3d,
        F.embedding,
        torch.matmul,
        torch.mm,
        torch.bmm,
        torch.einsum,
        torch.addmm,
        torch.baddbmm,
        Tensor.matmul,
        Tensor.mm,
        Tensor.bmm,
        Tensor.__matmul__,
        Tensor.__rmatmul__,
    }
)

#: What takes one tensor and keeps it the same but for its shape, or a constant.
_VIEWS: frozenset[Function] = frozenset(
    {
        Tensor.T.__get__,  # type: ignore[attr-defined]
        Tensor.mT.__get__,  # type: ignore[attr-defined]
        Tensor.t,
        Tensor.transpose,
        Tensor.permute,
        Tensor.view,
        Tensor.reshape,
        Tensor.flatten,
        Tensor.unflatten,
        Tensor.unsqueeze,
        Tensor.squeeze,
        Tensor.contiguous,
        Tensor.to,
        Tensor.float,
        Tensor.mul,
        Tensor.__mul__,
        Tensor.__rmul__,
        Tensor.__truediv__,
        Tensor.div,
        torch.t,
        torch.transpose,
        torch.permute,
        torch.reshape,
        torch.flatten,
        torch.mul,
        torch.div,
    }
)


class Operands(TorchFunctionMode):
    """While active, hands every such call of some parameters to `see`, unchanged by being watched.

    Args:
        parameters: to look out for.
        see: takes a call.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], see: Callable[[OperatorCall], None]
    ) -> None:
        super().__init__()
        # An id is known for as long as its tensor is kept beside it.
        self._known: dict[int, tuple[Tensor, nn.Parameter, Chain]] = {
            id(each): (each, each, lambda weight: weight) for each in parameters
        }
        self._see = see

    def __torch_function__(
        self,
        func: Function,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self._inside_torch():
                return func(*args, **kwargs)
        out = func(*args, **kwargs)
        self._watch(func, args, kwargs, out)
        return out

    @contextmanager
    def _inside_torch(self) -> Iterator[None]:
        """torch's own attention module calls it by its global name, out of our sight."""
        linear = F.linear

        def watched(*args: Any, **kwargs: Any) -> Tensor:
            out = linear(*args, **kwargs)
            self._watch(linear, args, kwargs, out)
            return out

        F.linear = watched
        try:
            yield
        finally:
            F.linear = linear

    def _watch(
        self, func: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any
    ) -> None:
        tensors = tensors_in((*args[func in ADDING :], *kwargs.values()))
        made_of = [each for each in tensors if id(each) in self._known]
        if len(made_of) != 1 or in_backward():
            return
        (operand,) = made_of
        _, parameter, chain = self._known[id(operand)]
        if func in _PRODUCTS and isinstance(out, Tensor) and len(tensors) > 1:
            self._see(
                OperatorCall(
                    out=out,
                    parameter=parameter,
                    function=func,
                    args=args,
                    kwargs=kwargs,
                    operand=operand,
                    chain=chain,
                )
            )
        elif len(tensors) == 1 and func in _VIEWS and isinstance(out, Tensor):
            self._known[id(out)] = out, parameter, _then(chain, func, operand, args, kwargs)


def _then(
    chain: Chain, func: Function, operand: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Chain:
    def longer(weight: Tensor) -> Tensor:
        value = chain(weight)
        out: Tensor = func(*(value if each is operand else each for each in args), **kwargs)
        return out

    return longer
