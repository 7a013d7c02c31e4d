"""Constants that a model multiplies between its layers, read off autograd's graph.

``head(x * m)``, ``head(x) * m`` and ``loss(head(x) * m)`` are one model. A constant right after a
layer belongs to that layer; one right before, to the layer that takes it, unless it is another's.
One that weighs a branch before it is added, ``x + m * relu(a(x) + b(x))``, belongs to every layer
that the branch ends with.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

Node = Any  #: of autograd's graph
_LEAF = "torch::autograd::AccumulateGrad"  #: where a parameter stands

#: What leaves a multiple a multiple, and keeps its RMS or nearly so.
TRANSPARENT = (
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
    "Roll",
)

#: What passes a positive factor on besides: a rectifier, and a product with what has no gradient.
_HOMOGENEOUS = ("Relu", "LeakyRelu", "Mm", "Bmm", "Sum", "Mean", "IndexAdd", "ScatterAdd")


def outer_multipliers(
    loss: Tensor,
    calls: Mapping[str, Iterable[tuple[Tensor | None, Tensor]]],
    norms: Mapping[str, Tensor],
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """The constants around each layer: those before its input, and those after its output.

    Those right after a norm are apart, for they may be the norm's, whose gain makes up for them, or
    belong to the layer that takes them.

    Args:
        loss: at the end of the graph.
        calls: layer → (input, output) of each call; the last call counts.
        norms: gain of a norm → what the norm gave.
    """
    followers = consumers(loss.grad_fn)
    ends = {name: list(pairs)[-1] for name, pairs in calls.items()}
    outs = {out.grad_fn: name for name, (_, out) in ends.items() if out.grad_fn is not None}
    before, after = dict.fromkeys(ends, 1.0), dict.fromkeys(ends, 1.0)
    claimed: set[Node] = set(outs)
    for end, name in outs.items():
        alone, of_branch = _own(end, followers, outs)
        claimed |= alone.keys() | of_branch.keys()
        after[name] = prod(alone.values()) * prod(of_branch.values())
    following = {}
    for name, out in norms.items():
        if out.grad_fn is not None and out.grad_fn not in outs:
            inside = list(_at_the_end(out.grad_fn))
            claimed |= {node for node, _ in inside}
            alone, of_branch = _own(out.grad_fn, followers, outs)
            after[name] = prod(constant for _, constant in inside) * prod(of_branch.values())
            following[name] = prod(alone.values())
    for name, (given, _) in ends.items():
        node = None if given is None else given.grad_fn
        while node is not None and node not in claimed:
            constant = _constant(node)
            if constant is None and (not is_one_of(node, TRANSPARENT) or len(_before(node)) != 1):
                break
            before[name] *= 1.0 if constant is None else constant
            (node,) = _before(node)
    return before, after, following


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


def _at_the_end(end: Node) -> Iterator[tuple[Node, float]]:
    """The constants that a module multiplies what it gives by, last."""
    node = end
    while (constant := _constant(node)) is not None or (
        is_one_of(node, TRANSPARENT) and len(_before(node)) == 1
    ):
        if constant is not None:
            yield node, constant
        (node,) = _before(node)


def _own(
    end: Node, followers: Mapping[Node, list[Node]], outs: Mapping[Node, str]
) -> tuple[dict[Node, float], dict[Node, float]]:
    """The constants that multiply what a layer gives: it alone, and what it is a branch of."""
    node, is_alone = end, True
    alone: dict[Node, float] = {}
    of_branch: dict[Node, float] = {}
    met: dict[Node, float] = {}  # since the last sum; of the branch if another comes
    while len(followers[node]) == 1:
        (node,) = followers[node]
        if node in outs:
            break
        constant, is_sum = _constant(node), _is_sum(node)
        if constant is not None:
            met[node] = constant
            if is_alone:
                alone[node] = constant
        elif is_sum:
            of_branch |= met
            met, is_alone = {}, False
        elif _keeps_factors(node):
            is_alone = False
        elif not is_one_of(node, TRANSPARENT):
            break
    return {node: each for node, each in alone.items() if node not in of_branch}, of_branch


def consumers(end: Node) -> Mapping[Node, list[Node]]:
    """Node → those that take its outputs, on the way to an end."""
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


def is_one_of(node: Node, kinds: Collection[str]) -> bool:
    """Whether it is the backward pass of one of some operations of torch's."""
    return node.name().removesuffix("0").removesuffix("Backward") in kinds


def _is_sum(node: Node) -> bool:
    """Whether it adds more than a bias: a constant after it is not the layer's alone.

    What is added may be frozen, and then leaves no node.
    """
    if not is_one_of(node, ("Add",)):
        return False
    biases = sum(each.name() == _LEAF for each in _before(node))
    return bool(len(node.next_functions) - biases > 1)


def _keeps_factors(node: Node) -> bool:
    """Whether twice of what is given is twice of what comes out: a rectifier, a vector of gains."""
    of_values = [each for each in _before(node) if each.name() != _LEAF]
    return len(of_values) == 1 and (is_one_of(node, _HOMOGENEOUS) or is_one_of(node, ("Mul",)))


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
