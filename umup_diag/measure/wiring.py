"""Which layer feeds which, and what attention does between them, read off autograd's graph.

No module names are assumed: a layer's consumers are the layers that its output reaches without
passing another, the readouts those that reach the loss so, and queries, keys and values those that
reach a call of ``scaled_dot_product_attention``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from umup_diag.measure.backward import in_backward
from umup_diag.measure.layers import layers
from umup_diag.scaling.unit_expectations import Attention

Node = Any  #: of autograd's graph
PARTS = ("query", "key", "value")


@dataclass(slots=True)
class _Call:
    """One call of attention: where it hangs in the graph, and RMS in and out."""

    settings: dict[str, Any]
    given: dict[str, Node]
    out: Node
    rms: dict[str, float] = field(default_factory=dict)
    elements: dict[str, int] = field(default_factory=dict)

    def gains(self) -> Attention | None:
        """What softmax and Jacobian did; None if no gradient came through."""
        rms = self.rms
        if any(name not in rms for name in ("grad", "grad_query", "grad_key", "grad_value")):
            return None
        grad, value = rms["grad"], rms["value"]
        if not (grad > 0 and value > 0 and rms["query"] > 0 and rms["key"] > 0):
            return None
        return Attention(
            **self.settings,
            forward=rms["out"] / value,
            query=rms["grad_query"] / (grad * value * rms["key"]),
            key=rms["grad_key"] / (grad * value * rms["query"]),
            value=rms["grad_value"] / grad,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A layer's share in a call of attention.

    Attributes:
        call: index of the call.
        name: of `PARTS`.
        elements: how many of the call's elements it is, to weigh the parts of a fused projection.
    """

    call: int
    name: str
    elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Who feeds whom.

    Attributes:
        readouts: layers whose output reaches the loss and no other layer.
        consumers: layer → the layers it feeds directly.
        parts: layer → its shares in calls of attention.
        pooled: layer → the calls of attention whose output it takes, and nothing else.
    """

    readouts: frozenset[str]
    consumers: Mapping[str, frozenset[str]]
    parts: Mapping[str, tuple[Part, ...]]
    pooled: Mapping[str, tuple[int, ...]]

    def after(self, call: int) -> list[str]:
        """The layers that take the output of a call."""
        return [layer for layer, calls in self.pooled.items() if call in calls]


class Wiring(TorchFunctionMode):
    """Watches one forward pass::

    wiring = Wiring(model)
    with wiring.watch():
        loss = …
        flow = wiring.flow(loss)
        loss.backward()
    wiring.attention()
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._produced: dict[Node, str] = {}
        self._taken: dict[str, list[Node]] = defaultdict(list)
        self._calls: list[_Call] = []

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Hooks are gone when it ends."""
        with ExitStack() as hooks:
            for name, module in layers(self.model).items():
                hooks.callback(
                    module.register_forward_hook(self._see(name), with_kwargs=True).remove
                )
            hooks.enter_context(self)
            yield

    def attention(self) -> list[Attention | None]:
        """What each call did, once the backward pass is done."""
        return [call.gains() for call in self._calls]

    def flow(self, loss: Tensor) -> Flow:
        """Follow the graph back from every layer's input, and from the loss."""
        outs = {call.out: index for index, call in enumerate(self._calls)}
        consumers: dict[str, set[str]] = defaultdict(set)
        pooled = {}
        for layer, nodes in self._taken.items():
            sources = self._sources(nodes, outs)
            for source in sources:
                if isinstance(source, str):
                    consumers[source].add(layer)
            calls = tuple(source for source in sources if isinstance(source, int))
            if calls and len(calls) == len(sources):
                pooled[layer] = calls
        parts: dict[str, list[Part]] = defaultdict(list)
        for index, call in enumerate(self._calls):
            for name, node in call.given.items():
                for source in self._sources([node], outs):
                    if isinstance(source, str):
                        parts[source].append(
                            Part(call=index, name=name, elements=call.elements[name])
                        )
        ends = {end for end in self._sources([loss.grad_fn], outs) if isinstance(end, str)}
        return Flow(
            readouts=frozenset(end for end in ends if not consumers[end] and end not in parts),
            consumers={layer: frozenset(found) for layer, found in consumers.items()},
            parts={layer: tuple(found) for layer, found in parts.items()},
            pooled=pooled,
        )

    def _sources(self, nodes: Iterable[Node], outs: Mapping[Node, int]) -> list[str | int]:
        """The layers and attention calls that are met first on the way back."""
        found: dict[str | int, None] = {}
        seen = set()
        ahead = [node for node in nodes if node is not None]
        while ahead:
            node = ahead.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in self._produced:
                found[self._produced[node]] = None
            elif node in outs:
                found[outs[node]] = None
            else:
                ahead += [before for before, _ in node.next_functions if before is not None]
        return list(found)

    def _see(self, name: str) -> Callable[..., None]:
        def see(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object
        ) -> None:
            if in_backward() or not isinstance(output, Tensor) or output.grad_fn is None:
                return
            self._produced[output.grad_fn] = name
            self._taken[name] += [
                given.grad_fn
                for given in (*args, *kwargs.values())
                if isinstance(given, Tensor) and given.grad_fn is not None
            ]

        return see

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention and not in_backward():
            self._attend(out, *args, **(kwargs or {}))
        return out

    def _attend(
        self,
        out: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        del dropout_p, enable_gqa
        if out.grad_fn is None:
            return
        head_dim = query.shape[-1]
        given = dict(zip(PARTS, (query, key, value), strict=True))
        call = _Call(
            settings={
                "seq_len": key.shape[-2],
                "head_dim": head_dim,
                "multiplier": head_dim**-0.5 if scale is None else scale,
                "causal": is_causal or attn_mask is not None,
            },
            given={name: tensor.grad_fn for name, tensor in given.items()},
            out=out.grad_fn,
            rms={"out": _rms(out), **{name: _rms(tensor) for name, tensor in given.items()}},
            elements={name: tensor.numel() for name, tensor in given.items()},
        )
        self._calls.append(call)
        out.register_hook(_keeper(call.rms, "grad"))
        for name, tensor in given.items():
            if tensor.requires_grad:
                tensor.register_hook(_keeper(call.rms, f"grad_{name}"))


def _keeper(rms: dict[str, float], name: str) -> Callable[[Tensor], None]:
    """A hook that holds nothing of the graph: a cycle through it would never be collected."""

    def keep(gradient: Tensor) -> None:
        rms[name] = _rms(gradient)

    return keep


def _rms(x: Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())
