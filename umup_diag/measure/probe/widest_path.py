"""How many values carry what a tensor does: the narrowest place of its widest way to a readout.

Where all that a tensor does passes through values whose number does not grow with width (a router's
logits, the inner products of a few tables, a code), its gradient is a sum over the width of what is
not aligned at init.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import inf, prod
from typing import Any

from torch import Tensor, nn

Node = Any  #: of autograd's graph
_LEAF = "torch::autograd::AccumulateGrad"


def widest_paths(
    loss: Tensor,
    layers: Iterable[tuple[Tensor | None, Tensor]],
    names: Mapping[nn.Parameter, str],
) -> dict[str, int]:
    """Parameter → the number of elements at the narrowest place of its widest way.

    A way ends where it enters a readout, a layer after which no other comes: what is inside and
    behind it grows in no model. A parameter that no layer follows has no way.

    Args:
        loss: at the end of the graph.
        layers: (input, output) of each call of a layer.
        names: parameter → name.
    """
    nodes, after = _from_the_end(loss.grad_fn)
    given = {out.grad_fn: None if x is None else x.grad_fn for x, out in layers}
    leads: set[Node] = set()  # after which a layer comes
    for node in nodes:
        if any(each in given or each in leads for each in after[node]):
            leads.add(node)
    inside = _between({out: x for out, x in given.items() if out not in leads})
    widths: dict[Node, float] = {}
    for node in nodes:
        if node in inside:
            widths[node] = _elements(node) if node.name() == _LEAF else inf
        elif node in leads:
            ahead = max(widths.get(each, 0.0) for each in after[node])
            widths[node] = min(_elements(node), ahead)
    return {
        names[node.variable]: int(width)
        for node, width in widths.items()
        if node.name() == _LEAF and node.variable in names
    }


def _between(calls: Mapping[Node, Node]) -> set[Node]:
    """The nodes of some calls, from output back to what each was given, and that left out."""
    found: set[Node] = set()
    for out, given in calls.items():
        ahead = [out]
        while ahead:
            node = ahead.pop()
            if node is not None and node is not given and node not in found:
                found.add(node)
                ahead += _before(node)
    return found


def _from_the_end(end: Node) -> tuple[list[Node], Mapping[Node, list[Node]]]:
    """Every node after all that come after it, and what comes right after each."""
    after: dict[Node, list[Node]] = defaultdict(list)
    missing: dict[Node, int] = defaultdict(int)
    seen, ahead = {end}, [end] if end is not None else []
    while ahead:
        node = ahead.pop()
        for before in _before(node):
            after[before].append(node)
            missing[before] += 1
            if before not in seen:
                seen.add(before)
                ahead.append(before)
    nodes, ready = [], [end] if end is not None else []
    while ready:
        node = ready.pop()
        nodes.append(node)
        for before in _before(node):
            missing[before] -= 1
            if not missing[before]:
                ready.append(before)
    return nodes, after


def _before(node: Node) -> list[Node]:
    return list(dict.fromkeys(before for before, _ in node.next_functions if before is not None))


def _elements(node: Node) -> float:
    """Of the largest of a node's outputs; unknown is no bound."""
    return max((prod(each.shape) for each in node._input_metadata), default=inf)
