"""Which layer feeds which, and what attention does between them, read off autograd's graph.

No module names are assumed: a layer's consumers are the layers that its output reaches without
passing another, the readouts those that reach the loss so, and queries, keys and values those that
reach a call of ``scaled_dot_product_attention``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from umup_diag.measure.attention import AttentionCalls, Call
from umup_diag.measure.backward import in_backward
from umup_diag.measure.layers import layers
from umup_diag.recording.wiring import PARTS, AttentionCall, Share, Wiring

Node = Any  #: of autograd's graph


@dataclass(frozen=True, slots=True, kw_only=True)
class _WiredCall:
    """A call of attention and where it hangs in the graph; its record is filled as it runs."""

    out: Node
    parts: Mapping[str, Node]
    record: AttentionCall


class WiringRecorder:
    """Watches one forward and one backward pass.

    Example::

        recorder = WiringRecorder(model)
        with recorder.watch():
            loss = …
            loss.backward()
        recorder.wiring(loss)
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._produced: dict[Node, str] = {}
        self._taken: dict[str, list[Node]] = defaultdict(list)
        self._calls: list[_WiredCall] = []

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Hooks are gone when it ends."""
        with ExitStack() as hooks:
            for name, module in layers(self.model).items():
                hooks.callback(
                    module.register_forward_hook(self._see(name), with_kwargs=True).remove
                )
            hooks.enter_context(AttentionCalls(self._attend))
            yield

    def wiring(self, loss: Tensor) -> Wiring:
        """Follow the graph back from every layer's input, and from the loss."""
        outs = {call.out: index for index, call in enumerate(self._calls)}
        consumers: dict[str, list[str]] = defaultdict(list)
        pooled = {}
        for layer, nodes in self._taken.items():
            sources = self._sources(nodes, outs)
            for source in sources:
                if isinstance(source, str):
                    consumers[source].append(layer)
            calls = tuple(source for source in sources if isinstance(source, int))
            if calls and len(calls) == len(sources):
                pooled[layer] = calls
        shares: dict[str, list[Share]] = defaultdict(list)
        for index, call in enumerate(self._calls):
            for part, node in call.parts.items():
                for source in self._sources([node], outs):
                    if isinstance(source, str):
                        shares[source].append(Share(call=index, part=part))
        ends = [end for end in self._sources([loss.grad_fn], outs) if isinstance(end, str)]
        return Wiring(
            readouts=tuple(end for end in ends if end not in consumers and end not in shares),
            consumers={layer: tuple(fed) for layer, fed in consumers.items()},
            shares={layer: tuple(found) for layer, found in shares.items()},
            pooled=pooled,
            calls=tuple(call.record for call in self._calls),
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

    def _attend(self, call: Call) -> None:
        if call.out.grad_fn is None:
            return
        parts = dict(zip(PARTS, (call.query, call.key, call.value), strict=True))
        rms = {"out": _rms(call.out), **{part: _rms(tensor) for part, tensor in parts.items()}}
        record = AttentionCall(
            seq_len=call.key.shape[-2],
            head_dim=call.head_dim,
            multiplier=call.multiplier,
            causal=call.is_causal or call.mask is not None,
            rms=rms,
            elements={part: tensor.numel() for part, tensor in parts.items()},
        )
        nodes = {part: tensor.grad_fn for part, tensor in parts.items()}
        self._calls.append(_WiredCall(out=call.out.grad_fn, parts=nodes, record=record))
        call.out.register_hook(_keeper(rms, "grad"))
        for part, tensor in parts.items():
            if tensor.requires_grad:
                tensor.register_hook(_keeper(rms, f"grad_{part}"))


def _keeper(rms: dict[str, float], name: str) -> Callable[[Tensor], None]:
    """A hook that holds nothing of the graph: a cycle through it would never be collected."""

    def keep(gradient: Tensor) -> None:
        rms[name] = _rms(gradient)

    return keep


def _rms(x: Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())
