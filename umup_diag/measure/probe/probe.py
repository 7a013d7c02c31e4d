"""What the coord check rests on, measured of one model over a few updates.

`umup_diag.measure.recorder` counts the elements of tensors; this measures what takes a layer, its
input and its update together.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import nan
from typing import Any

from torch import Tensor, nn

from umup_diag.measure.backward import in_backward
from umup_diag.measure.layers import NamedTensor, fans, layers, tensors
from umup_diag.measure.probe.call import Call
from umup_diag.measure.probe.layer_call import LayerCall, weight_of
from umup_diag.measure.probe.linear_part import gain, initial_part, multiplier, rms
from umup_diag.measure.probe.operands import Operands
from umup_diag.measure.probe.operator_call import OperatorCall
from umup_diag.measure.probe.operator_norm import rms_operator_norm
from umup_diag.measure.probe.outer_multiplier import first_layers, outer_multipliers
from umup_diag.measure.probe.residual_sum import Sums, branch_multipliers
from umup_diag.measure.probe.softmax_inputs import SoftmaxInputs
from umup_diag.measure.probe.update_meter import Reading, UpdateMeter
from umup_diag.measure.probe.widest_path import widest_paths
from umup_diag.recording import TensorRecord, Value
from umup_diag.scaling.kinds import Kind, kind_order


class Probe:
    """Watches a model through one forward pass and one update at a time.

    Example::

        probe = Probe(model)
        with probe.forward():
            loss = ...
        probe.at_init(loss)
        meter = probe.meter()
        ...  # meter.before(p, p.grad), step, meter.after(p, group)
        probe.take()

    Args:
        model: to watch.
        norms: whether to measure operator norms of weights and first updates.
    """

    def __init__(self, model: nn.Module, *, norms: bool = False) -> None:
        self.model, self.norms = model, norms
        self.tensors = tensors(model)
        self._layers = layers(model)
        self._names = {module: name for name, module in model.named_modules()}
        sharing: dict[int, list[str]] = defaultdict(list)
        self._fans = {named.name: named.fans for named in self.tensors}
        self._counts = {named.name: named.parameter.numel() for named in self.tensors}
        for name, module in self._layers.items():
            weight = weight_of(module)
            sharing[id(weight)].append(name)
            self._fans.setdefault(name, fans(weight, module))  # each layer of a tied weight has its
            self._counts.setdefault(name, weight.numel())
        self._layers_of = {
            named.name: tuple(
                dict.fromkeys((*sharing[id(named.parameter)], named.name, f"{named.name}.weight"))
            )
            for named in self.tensors
        }
        self._weight_of = {
            layer: name
            for name, sharers in self._layers_of.items()
            for layer in sharers
            if layer != name
        }
        self._matrices = {
            named.parameter: named.name for named in self.tensors if named.parameter.dim() > 1
        }
        self._calls: dict[str, list[Call]] = defaultdict(list)
        self._passed_by: dict[str, list[Call]] = defaultdict(list)
        self._owners = {named.name: self._names[named.owner] for named in self.tensors}
        self._order: dict[str, int] = {}
        self._unfit: set[str] = set()  # layers that are not linear in their weight
        self._done: set[str] = set()
        self._inside: list[str] = []
        self._gains = {
            self._names[named.owner]: named.name
            for named in self.tensors
            if named.parameter.dim() == 1 and is_gain(named)
        }
        self._scaled: dict[str, Tensor] = {}  # what each of them gave, last
        self._logits: dict[str, list[Tensor]] = defaultdict(list)
        self._softmax_nodes: list[Any] = []
        self._sums: Sums | None = None
        self._initial_logits: dict[str, list[Tensor]] | None = None
        self._own_changes: dict[str, list[Tensor]] = {}
        self._initial_outs: dict[str, list[Tensor]] = {}
        self._meter: UpdateMeter | None = None
        self._readings: list[Reading] = []

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Watch one forward pass; what was kept of the last one is let go."""
        self._calls.clear()
        self._scaled.clear()
        self._logits.clear()
        self._softmax_nodes.clear()
        with ExitStack() as hooks:
            for name, module in self.model.named_modules():
                hooks.callback(module.register_forward_pre_hook(self._enter(name)).remove)
                leave = module.register_forward_hook(
                    self._leave(name), with_kwargs=True, always_call=True
                )
                hooks.callback(leave.remove)
            hooks.enter_context(SoftmaxInputs(self._see_logits))
            hooks.enter_context(Operands(self._matrices, self._see_operand))
            if self._initial_logits is None:
                self._sums = hooks.enter_context(Sums())
            yield
        for name, calls in self._passed_by.items():
            # Used by its layer and again beside it, as a tied readout is: two uses, two names.
            self._calls[f"{name}.weight" if name in self._calls else name] = calls
        self._passed_by = defaultdict(list)
        if self._initial_logits is None:
            self._initial_logits = {name: list(kept) for name, kept in self._logits.items()}
        else:
            self._changes()

    def at_init(self, loss: Tensor) -> None:
        """Measure gains and multipliers; call it after the first forward pass."""
        for name, calls in self._calls.items():
            parts = [initial_part(call) for call in calls]
            outs = [part for part in parts if part is not None]
            if len(outs) < len(calls):
                self._unfit.add(name)
                if not all(call.out.isfinite().all() for call in calls):
                    self._add(name, Kind.GAIN, nan)
                continue
            self._add(name, Kind.GAIN, gain(calls, outs))
            if isinstance(calls[-1], OperatorCall):  # its use shows what its dimensions are
                self._counts[name] = calls[-1].weight.numel()
                self._fans[name] = calls[-1].fans() or fans(calls[-1].weight, self.model)
            factor = multiplier(calls[-1], outs[-1])
            if factor is not None:
                self._add(name, Kind.MULTIPLIER, factor)
        for named in self.tensors:
            self._gain_by_itself(named)
            norm = rms_operator_norm(named, named.parameter) if self.norms else None
            if norm is not None:
                self._add(named.name, Kind.WEIGHT_NORM, norm)
        pairs = {n: [(c.given, c.out) for c in calls] for n, calls in self._calls.items()}
        if loss.grad_fn is not None:
            kinds = (Kind.INPUT_MULTIPLIER, Kind.OUTPUT_MULTIPLIER, Kind.NEXT_MULTIPLIER)
            found = outer_multipliers(loss, pairs, self._scaled)
            for kind, constants in zip(kinds, found, strict=True):
                for name, constant in constants.items():
                    self._add(name, kind, constant)
            self._scaled.clear()
            names = {named.parameter: named.name for named in self.tensors}
            last = {name: uses_of[-1][1] for name, uses_of in pairs.items()}
            if self._sums is not None:
                for name, constant in branch_multipliers(loss, last, self._sums).items():
                    self._add(name, Kind.BRANCH_MULTIPLIER, constant)
            uses = [(call.given, call.out) for calls in self._calls.values() for call in calls]
            for name, elements in widest_paths(loss, uses, names).items():
                self._add(name, Kind.WIDEST_PATH, elements)
        for name, kept in self._logits.items():
            self._counts[name] = sum(x.numel() for x in kept)
            self._add(name, Kind.ATTENTION_LOGITS, rms(kept))
        ends = {c.out.grad_fn: n for n, calls in self._calls.items() for c in calls}
        for name in sorted(first_layers(self._softmax_nodes, ends)):
            self._add(name, Kind.FEEDS_SOFTMAX, 1.0)
        self._softmax_nodes.clear()
        self._sums = None

    def meter(self) -> UpdateMeter:
        """What measures the update that follows this forward pass."""
        fit = {name: calls for name, calls in self._calls.items() if name not in self._unfit}
        self._meter = UpdateMeter(
            self.tensors, fit, self._layers_of, done=self._done, norms=self.norms
        )
        return self._meter

    def take(self) -> list[TensorRecord]:
        """What was measured since the last time, in forward order."""
        if self._meter is not None:
            self._readings += self._meter.readings
            if not self._own_changes:
                self._own_changes = self._meter.own_changes
                self._initial_outs = {
                    name: [call.out.detach() for call in self._calls[name]]
                    for name in self._own_changes
                }
            self._meter = None
        taken, self._readings = self._readings, []
        records = [
            TensorRecord(
                tensor=reading.tensor,
                kind=reading.kind,
                statistics=Value(value=reading.value, count=self._counts.get(reading.tensor, 0)),
                order=self._order.get(
                    self._owners.get(reading.tensor, reading.tensor), len(self._order)
                ),
                fans=self._fans.get(reading.tensor),
                weight_of=self._weight_of.get(reading.tensor),
            )
            for reading in taken
        ]
        return sorted(records, key=lambda each: (each.order, each.tensor, kind_order(each.kind)))

    def _changes(self) -> None:
        """What the last update did to softmax's inputs, and what the layers' inputs brought."""
        assert self._initial_logits is not None
        for name, now in self._logits.items():
            then = self._initial_logits.get(name, [])
            if [x.shape for x in now] == [x.shape for x in then]:
                change = [a - b for a, b in zip(now, then, strict=True)]
                self._add(name, Kind.ATTENTION_LOGITS_CHANGE, rms(change))
        if self._initial_outs:
            for name, own in self._own_changes.items():
                calls, then = self._calls[name], self._initial_outs[name]
                if [call.out.shape for call in calls] == [out.shape for out in then]:
                    carried = [
                        call.out.detach() - before - mine
                        for call, before, mine in zip(calls, then, own, strict=True)
                    ]
                    self._add(name, Kind.CARRIED_CHANGE, rms(carried))
            self._initial_outs = {}

    def _gain_by_itself(self, named: NamedTensor) -> None:
        """Of what is no layer of its own: a norm's gain, and a recurrent matrix on white noise."""
        weight = named.parameter.detach()
        if weight.dim() > 1 and isinstance(named.owner, nn.RNNBase):
            fan_in = named.fans.fan_in or 1
            self._add(named.name, Kind.GAIN, rms([weight]) * fan_in**0.5)
            self._add(named.name, Kind.MULTIPLIER, 1.0)
        elif weight.dim() == 1 and is_gain(named):
            self._add(named.name, Kind.GAIN, rms([weight]))

    def _add(self, name: str, kind: Kind, value: float) -> None:
        self._readings.append(Reading(name, kind, value))

    def _enter(self, name: str) -> Any:
        def enter(_: nn.Module, __: object) -> None:
            self._order.setdefault(name, len(self._order))
            self._inside.append(name)

        return enter

    def _leave(self, name: str) -> Any:
        def leave(
            module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any
        ) -> None:
            self._inside.pop()
            if name in self._gains and isinstance(out, Tensor) and not in_backward():
                self._scaled[self._gains[name]] = out
            if name not in self._layers or in_backward() or not isinstance(out, Tensor):
                return
            call = LayerCall(module=module, args=args, kwargs=kwargs, out=out)
            if call.given is not None and call.given.numel():
                self._calls[name].append(call)

        return leave

    def _see_operand(self, call: OperatorCall) -> None:
        inside = self._layers.get(self._inside[-1]) if self._inside else None
        is_its_layers = inside is not None and weight_of(inside) is call.parameter
        if not is_its_layers and call.given is not None and call.given.numel():
            self._passed_by[self._matrices[call.parameter]].append(call)

    def _see_logits(self, logits: Tensor, given: tuple[Tensor, ...]) -> None:
        name = self._inside[-1] if self._inside else ""
        self._logits[name].append(logits.detach())
        self._softmax_nodes += [x.grad_fn for x in given]


def is_gain(named: NamedTensor) -> bool:
    """Whether it is the vector that a norm multiplies what it gives by."""
    return named.owner._parameters.get("weight") is named.parameter
