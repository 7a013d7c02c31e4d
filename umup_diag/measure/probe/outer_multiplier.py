"""Constants that a model multiplies between its layers, read off autograd's graph.

``head(x * m)``, ``head(x) * m`` and ``loss(head(x) * m)`` are one model. A constant right after a
layer belongs to that layer; one right before, to the layer that takes it, unless it is another's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

Node = Any  #: of autograd's graph

#: What leaves a multiple a multiple, and keeps its RMS or nearly so.
_TRANSPARENT = (
    "View",
    "UnsafeView",
    "ReshapeAlias",
    "Transpose",
    "Permute",
    "T",
    "ToCopy",
    "Clone",
    "Alias",
    "Expand",
    "Squeeze",
    "Unsqueeze",
    "Add",
    "Slice",
)


def outer_multipliers(
    loss: Tensor, calls: Mapping[str, Iterable[tuple[Tensor | None, Tensor]]]
) -> tuple[dict[str, float], dict[str, float]]:
    """The constants around each layer: those before its input, and those after its output.

    Args:
        loss: at the end of the graph.
        calls: layer → (input, output) of each call; the last call counts.
    """
    consumers = _consumers(loss.grad_fn)
    ends = {name: list(pairs)[-1] for name, pairs in calls.items()}
    outs = {out.grad_fn: name for name, (_, out) in ends.items() if out.grad_fn is not None}
    before, after = dict.fromkeys(ends, 1.0), dict.fromkeys(ends, 1.0)
    claimed: set[Node] = set(outs)
    for end, name in outs.items():
        node: Node = end
        while len(consumers[node]) == 1:
            (node,) = consumers[node]
            if node in outs:
                break
            constant = _constant(node)
            if constant is not None:
                after[name] *= constant
                claimed.add(node)
            elif not _is_transparent(node) or _is_sum(node):
                break
    for name, (given, _) in ends.items():
        node = None if given is None else given.grad_fn
        while node is not None and node not in claimed:
            constant = _constant(node)
            if constant is None and (not _is_transparent(node) or len(_before(node)) != 1):
                break
            before[name] *= 1.0 if constant is None else constant
            (node,) = _before(node)
    return before, after


def first_layers(start: Iterable[Node], outs: Mapping[Node, str]) -> set[str]:
    """The layers that are met first on the way back from some nodes."""
    found, seen = set(), set()
    ahead = [node for node in start if node is not None]
    while ahead:
        node = ahead.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in outs:
            found.add(outs[node])
        else:
            ahead += _before(node)
    return found


def _consumers(end: Node) -> Mapping[Node, list[Node]]:
    found: dict[Node, list[Node]] = defaultdict(list)
    seen, ahead = {end}, [end] if end is not None else []
    while ahead:
        node = ahead.pop()
        for before in _before(node):
            if node not in found[before]:
                found[before].append(node)
            if before not in seen:
                seen.add(before)
                ahead.append(before)
    return found


def _before(node: Node) -> list[Node]:
    return [before for before, _ in node.next_functions if before is not None]


def _is_transparent(node: Node) -> bool:
    kind = node.name().removesuffix("0").removesuffix("Backward")
    return kind in _TRANSPARENT


def _is_sum(node: Node) -> bool:
    """Whether it adds more than a bias: a constant after it is not the layer's alone.

    What is added may be frozen, and then leaves no node.
    """
    biases = sum(each.name() == "torch::autograd::AccumulateGrad" for each in _before(node))
    return bool(len(node.next_functions) - biases > 1)


def _constant(node: Node) -> float | None:
    """The factor, if the node multiplies by or divides by a constant scalar."""
    kind = node.name()
    if kind not in ("MulBackward0", "DivBackward0") or len(_before(node)) != 1:
        return None
    first = node.next_functions[0][0] is not None
    if kind == "DivBackward0" and not first:
        return None
    other = getattr(node, "_saved_other" if first else "_saved_self", None)
    if other is None or not isinstance(other, Tensor) or other.numel() != 1:
        return None
    value = float(other.detach().to(torch.float64))
    if value == 0.0:
        return None
    return value if kind == "MulBackward0" else 1.0 / value
