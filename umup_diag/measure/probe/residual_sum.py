"""Which layers end a residual branch, and what their output is multiplied by on its way there.

A branch ends where something that was made of a stream is added to that stream, x + c·f(x): seen at
the sum, so that it does not matter whether c is a constant, a trained vector, an op with a gradient
of its own, or a norm.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from umup_diag.measure.backward import in_backward
from umup_diag.measure.probe.linear_part import rms
from umup_diag.measure.probe.outer_multiplier import (
    TRANSPARENT,
    Node,
    consumers,
    is_one_of,
)

_SUMS = frozenset(
    {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}
)
_LEAF = "torch::autograd::AccumulateGrad"
#: What may lie between a branch's last layer and the sum, beside what keeps a tensor as it is.
_SCALINGS = ("Mul", "Div", "NativeDropout", "NativeLayerNorm", "FusedRmsNorm")
_FARTHEST = 10_000  #: nodes on the way back from a branch to its stream


class Sums(TorchFunctionMode):
    """While active, remembers every sum of two tensors of one shape, unchanged by being watched."""

    def __init__(self) -> None:
        super().__init__()
        #: node of one that is added → (RMS of it, node of the other) of each such sum
        self.seen: dict[Node, list[tuple[float, Node]]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _SUMS and not in_backward() and len(args) == 2 and not kwargs:
            self._see(*args)
        return func(*args, **(kwargs or {}))

    def _see(self, a: Any, b: Any) -> None:
        if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
            return
        if a.shape != b.shape or a.grad_fn is None or b.grad_fn is None:
            return
        for one, other in ((a, b), (b, a)):
            seen = self.seen.setdefault(one.grad_fn, [])
            seen.append((rms([one]), other.grad_fn))


def branch_multipliers(loss: Tensor, outs: Mapping[str, Tensor], sums: Sums) -> dict[str, float]:
    """Layer → RMS of what its output comes to where it is added to its stream, over its own.

    Args:
        loss: at the end of the graph.
        outs: layer → its output.
        sums: of the forward pass.
    """
    after = consumers(loss.grad_fn)
    found = {}
    for name, out in outs.items():
        added = _added(out.grad_fn, after, sums)
        own = rms([out])
        if added is not None and own > 0.0:
            found[name] = added / own
    return found


def _added(out: Node, after: Mapping[Node, list[Node]], sums: Sums) -> float | None:
    """RMS of what a layer's output comes to where it meets its stream; None if it does not."""
    node = out
    while node is not None:
        for size, other in sums.seen.get(node, []):
            if _comes_from(out, _source(other)):
                return size
        ahead = after.get(node, [])
        node = ahead[0] if len(ahead) == 1 and _may_follow(ahead[0]) else None
    return None


def _may_follow(node: Node) -> bool:
    return is_one_of(node, (*TRANSPARENT, *_SCALINGS)) or _is_own_function(node)


def _source(node: Node) -> Node:
    """What a stream was before it was scaled, or copied, on its way past a branch."""
    while True:
        before = _before(node)
        is_scaled = is_one_of(node, (*TRANSPARENT, "Mul", "Div")) or _is_own_function(node)
        if len(before) != 1 or not is_scaled:
            return node
        (node,) = before


def _comes_from(node: Node, source: Node) -> bool:
    seen, ahead = {node}, [node]
    while ahead and len(seen) < _FARTHEST:
        for before in _before(ahead.pop()):
            if before is source:
                return True
            if before not in seen:
                seen.add(before)
                ahead.append(before)
    return False


def _before(node: Node) -> list[Node]:
    nodes = (each for each, _ in node.next_functions if each is not None)
    return [each for each in nodes if each.name() != _LEAF]


def _is_own_function(node: Node) -> bool:
    """Of a ``torch.autograd.Function`` that somebody wrote."""
    return isinstance(node, torch.autograd.function.BackwardCFunction)
