"""The hooks: watch a model for one step and keep a code histogram of each tensor.

Watching never changes a bit of the loss or of a gradient: nothing is inserted into the graph,
tensors are only read, and every hook is gone when the step ends, also when it ends in an
exception.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from umup_diag.measure.attention import AttentionCalls, Call
from umup_diag.measure.backward import in_backward
from umup_diag.measure.layers import is_layer, tensors
from umup_diag.measure.weight_sample import WeightSample
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind, kind_order

#: The three that a linear layer's matmuls would cast to FP8.
MATMUL_KINDS = frozenset({Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT})
#: Those that compare with the first step.
CHANGE_KINDS = frozenset({Kind.UPDATE, Kind.OUTPUT_CHANGE})


@dataclass(slots=True)
class _Step:
    """What one step has gathered so far."""

    kinds: Collection[Kind]
    histograms: dict[tuple[str, Kind], CodeHistogram] = field(default_factory=dict)
    head_dims: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)
    open: bool = True

    def add(self, tensor: str, kind: Kind, x: Tensor) -> None:
        histogram = CodeHistogram.of(_local(x.detach()))
        known = self.histograms.get((tensor, kind))
        self.histograms[tensor, kind] = histogram if known is None else known + histogram


class Recorder:
    """Records the tensors of a model, a step at a time.

    Example::

        recorder = Recorder(model)
        with recorder.step():
            loss(model, batch).backward()
        for record in recorder.take():
            print(record.tensor, record.kind, record.rms)

    A layer called twice in a step is recorded over both calls; one that is not called, or frozen,
    has no records of the kinds that it does not produce. Modules that are run a second time inside
    the backward pass (activation checkpointing) are counted once. Attention logits are recorded
    where the model calls ``scaled_dot_product_attention``, under the module that calls it.
    """

    def __init__(self, model: nn.Module, *, changes: bool = False) -> None:
        """Prepare to record `model`.

        Args:
            model: any module.
            changes: whether to keep what `Kind.UPDATE` and `Kind.OUTPUT_CHANGE` compare with: a
                sample of each weight as it is now, and the outputs of the first step.
        """
        self.model = model
        self._tensors = {named.name: named for named in tensors(model)}
        self._names = {module: name for name, module in model.named_modules()}
        self._order: dict[str, int] = {}
        self._initial_weights: dict[str, WeightSample] = {}
        self._initial_outputs: dict[tuple[str, int], Tensor] | None = None
        if changes:
            self._initial_outputs = {}
            for name, named in self._tensors.items():
                self._initial_weights[name] = WeightSample.of(named.parameter)
        self._first = True
        self._step = _Step(kinds=())

    @contextmanager
    def step(
        self, kinds: Collection[Kind] = MATMUL_KINDS, *, entered: bool = False
    ) -> Iterator[None]:
        """Record what happens inside, of these kinds; weights and updates as they are on entry.

        Args:
            kinds: of tensors.
            entered: whether this is called from a forward pre-hook of the model itself.

        Raises:
            ValueError: for kinds of change, unless the recorder was made with ``changes=True``.
        """
        if self._initial_outputs is None and CHANGE_KINDS & set(kinds):
            raise ValueError("to record updates and output changes, use changes=True")
        self._step = _Step(kinds=kinds)
        try:
            with ExitStack() as hooks:
                for name, named in self._tensors.items():
                    self._record_parameter(name, named.parameter, hooks)
                for module in self._names:
                    hooks.callback(module.register_forward_pre_hook(self._enter).remove)
                    after = module.register_forward_hook(
                        self._leave, with_kwargs=True, always_call=True
                    )
                    hooks.callback(after.remove)
                if Kind.ATTENTION_LOGITS in kinds:
                    hooks.enter_context(AttentionCalls(self._record_attention))
                if entered:
                    self._enter(self.model, None)
                yield
        finally:
            self._step.open = False
            self._first = False

    def take(self) -> list[TensorRecord]:
        """What the last step recorded, as histograms in forward order."""
        records = []
        for (tensor, kind), histogram in self._step.histograms.items():
            named = self._tensors.get(tensor)
            module = self._names[named.owner] if named else tensor
            records.append(
                TensorRecord(
                    tensor=tensor,
                    kind=kind,
                    statistics=histogram,
                    order=self._order.get(module, len(self._order)),
                    fans=named.fans if named else None,
                    head_dim=self._step.head_dims.get(tensor),
                )
            )
        return sorted(
            records, key=lambda record: (record.order, record.tensor, kind_order(record.kind))
        )

    def _record_parameter(self, name: str, parameter: nn.Parameter, hooks: ExitStack) -> None:
        step = self._step
        if Kind.WEIGHT in step.kinds:
            step.add(name, Kind.WEIGHT, parameter)
        if Kind.UPDATE in step.kinds and parameter.requires_grad:
            step.add(name, Kind.UPDATE, self._initial_weights[name].change(parameter))
        if Kind.WEIGHT_GRAD in step.kinds and parameter.requires_grad:

            def record_gradient(accumulated: Tensor) -> None:
                if accumulated.grad is not None:
                    step.add(name, Kind.WEIGHT_GRAD, accumulated.grad)

            hooks.callback(parameter.register_post_accumulate_grad_hook(record_gradient).remove)

    def _enter(self, module: nn.Module, _: object) -> None:
        name = self._names[module]
        self._order.setdefault(name, len(self._order))
        self._step.inside.append(name)

    def _leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        name, step = self._step.inside.pop(), self._step
        if not is_layer(module):
            return
        out = _first_tensor(output)
        if out is None:
            return
        if Kind.GRAD_OUTPUT in step.kinds and out.requires_grad:

            def record_gradient(gradient: Tensor) -> None:
                if step.open:
                    step.add(name, Kind.GRAD_OUTPUT, gradient)

            out.register_hook(record_gradient)
        if in_backward():  # a checkpointed module, run again
            return
        input_ = _first_tensor((args, kwargs))
        if Kind.INPUT in step.kinds and input_ is not None:
            step.add(name, Kind.INPUT, input_)
        if Kind.OUTPUT in step.kinds:
            step.add(name, Kind.OUTPUT, out)
        self._record_change(name, out.detach())

    def _record_change(self, name: str, out: Tensor) -> None:
        if self._initial_outputs is None:
            return
        call = self._step.calls[name] = self._step.calls.get(name, -1) + 1
        if self._first:
            self._initial_outputs[name, call] = out.clone()
        elif Kind.OUTPUT_CHANGE in self._step.kinds:
            initial = self._initial_outputs.get((name, call))
            if initial is not None and initial.shape == out.shape:  # an expert's tokens may differ
                self._step.add(name, Kind.OUTPUT_CHANGE, out - initial)

    def _record_attention(self, call: Call) -> None:
        name = self._step.inside[-1] if self._step.inside else ""
        self._step.head_dims[name] = call.head_dim
        self._step.add(name, Kind.ATTENTION_LOGITS, call.logits())


def _local(x: Tensor) -> Tensor:
    """The part of a sharded tensor that this rank holds; any other tensor as it is."""
    to_local = getattr(x, "to_local", None)
    return x if to_local is None else to_local()


def _first_tensor(value: Any) -> Tensor | None:
    """The first floating-point tensor in a tensor, or in nested sequences, mappings or outputs."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return None
    return next((found for item in value if (found := _first_tensor(item)) is not None), None)
