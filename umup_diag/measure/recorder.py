"""The hooks: watch a model for one step and keep a code histogram of each tensor.

Watching never changes a bit of the loss or of a gradient: nothing is inserted into the graph,
tensors are only read, and every hook is gone when the step ends, also when it ends in an
exception.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure import compiled
from umup_diag.measure.attention import AttentionCalls, Call
from umup_diag.measure.backward import in_backward
from umup_diag.measure.hook import Hook, around
from umup_diag.measure.layers import is_layer, plain, tensors
from umup_diag.measure.placement import Placement
from umup_diag.measure.readable import is_readable
from umup_diag.measure.recorded_step import RecordedStep
from umup_diag.measure.sampled_weight import SampledWeight
from umup_diag.measure.weight_sample import WeightSample
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind, kind_order

#: The three that a linear layer's matmuls would cast to FP8.
MATMUL_KINDS = frozenset({Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT})
#: Those that compare with the first step.
CHANGE_KINDS = frozenset({Kind.UPDATE, Kind.OUTPUT_CHANGE})


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

    Of a DTensor each process records what it alone holds, or the first of those that hold the same:
    added up over all processes, every element counts once (`umup_diag.measure.ranks`).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        changes: bool = False,
        blocks: Collection[str] = (),
        sample_weights: bool = False,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Prepare to record `model`.

        Args:
            model: any module.
            changes: whether to keep what `Kind.UPDATE` and `Kind.OUTPUT_CHANGE` compare with: a
                sample of each weight as it is now, and the outputs of the first step.
            blocks: names of block formats to cast each tensor to as well, along its last dimension;
                of a sharded tensor, the part that is here.
            sample_weights: count a fixed sample of each large weight in place of all of it
                (`umup_diag.measure.sampled_weight`).
            failed: gets what goes wrong inside the model's calls; None raises it there.

        Raises:
            InputError: for both `blocks` and `sample_weights`: a sample has no whole blocks.
        """
        if blocks and sample_weights:
            raise InputError(
                "a sample of a weight has no whole blocks: record either with block formats or "
                "with sampled weights."
            )
        self._sample_weights = sample_weights
        self.model = model
        self._failed = failed
        self._tensors = {named.name: named for named in tensors(model)}
        self._names = {module: plain(name) for name, module in model.named_modules()}
        self._order: dict[str, int] = {}
        self._initial_weights: dict[str, WeightSample] = {}
        self._initial_outputs: dict[tuple[str, int], Tensor] | None = None
        if changes:
            self._initial_outputs = {}
            for name, named in self._tensors.items():
                self._initial_weights[name] = WeightSample.of(named.parameter)
        self._blocks = {name: BLOCK_FORMATS[name] for name in blocks}
        self._first = True
        self._is_hooked = False
        self.is_compiled = False  #: whether the model was seen to run compiled
        self._step = RecordedStep(kinds=(), is_open=False)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Keep the hooks on while inside, for a compiler to find, and not for each step alone."""
        self._is_hooked = True
        if any(Placement.of(named.parameter) for named in self._tensors.values()):
            compiled.accept_dtensors()
        try:
            with ExitStack() as keys:
                for module, name in self._names.items():
                    if is_layer(module):
                        observers = (
                            Hook(partial(self._observe_input, name), self._failed),
                            Hook(partial(self._observe_grad_output, name), self._failed),
                        )
                        keys.enter_context(compiled.observed(module, compiled.LAYER, *observers))
                keys.enter_context(around(map(self._hooks, self._names)))
                yield
        finally:
            self._is_hooked = False

    def _hooks(self, module: nn.Module) -> tuple[nn.Module, Hook, Hook]:
        name, layer = self._names[module], is_layer(module)
        traced = compiled.trace_layer if layer else None
        return (
            module,
            Hook(partial(self._enter, name), self._failed),
            Hook(partial(self._leave, name, layer), self._failed, traced),
        )

    @contextmanager
    def step(
        self, kinds: Collection[Kind] = MATMUL_KINDS, *, in_training: bool = False
    ) -> Iterator[None]:
        """Record what happens inside, of these kinds; weights and updates as they are on entry.

        Args:
            kinds: of tensors.
            in_training: leave out forward passes without gradients, and take weights and updates
                when the first other one begins.

        Raises:
            ValueError: for kinds of change, unless the recorder was made with ``changes=True``.
        """
        if self._initial_outputs is None and CHANGE_KINDS & set(kinds):
            raise ValueError("to record updates and output changes, use changes=True")
        step = self._step = RecordedStep(kinds=kinds, in_training=in_training, blocks=self._blocks)
        try:
            with ExitStack() as hooks:
                if not in_training:
                    self.begin()
                if Kind.WEIGHT_GRAD in kinds:
                    for name, named in self._tensors.items():
                        if named.parameter.requires_grad:
                            see = Hook(partial(self._weight_grad, step, name), self._failed)
                            hook = named.parameter.register_post_accumulate_grad_hook(see)
                            hooks.callback(hook.remove)
                if not self._is_hooked:
                    hooks.enter_context(self.hooked())
                if Kind.ATTENTION_LOGITS in kinds:
                    hooks.enter_context(AttentionCalls(partial(self._record_attention, step)))
                yield
        finally:
            step.is_open = False
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
                    blocks=self._step.casts.get((tensor, kind), {}),
                    sample=self._step.samples.get(tensor) if kind == Kind.WEIGHT else None,
                )
            )
        return sorted(
            records, key=lambda record: (record.order, record.tensor, kind_order(record.kind))
        )

    @property
    def placed(self) -> Collection[tuple[str, Kind]]:
        """What the last step saw as DTensors."""
        return self._step.placed

    @property
    def partial(self) -> Collection[tuple[str, Kind]]:
        """What the last step did not record because this process has only a summand of it."""
        return self._step.partial

    @property
    def jointly(self) -> tuple[int, ...]:
        """The ranks that computed the last step's activations together; none without DTensors."""
        return tuple(sorted(self._step.jointly))

    def restart(self) -> None:
        """Forget what this step has recorded so far, and go on recording."""
        self._step.clear()

    def begin(self) -> None:
        """Record the parameters, once a step."""
        step = self._step
        with step.lock:
            has_begun, step.has_begun = step.has_begun, True
        if has_begun or not step.is_open:
            return
        for name, named in self._tensors.items():
            if Kind.WEIGHT in step.kinds:
                self._add_weight(step, name, named.parameter)
            if Kind.UPDATE in step.kinds and named.parameter.requires_grad:
                change = self._initial_weights[name].change(named.parameter)
                step.add(name, Kind.UPDATE, change)

    def _add_weight(self, step: RecordedStep, name: str, weight: Tensor) -> None:
        sampled = SampledWeight.drawn(weight) if self._sample_weights else None
        if sampled is None:
            step.add(name, Kind.WEIGHT, weight)
        else:
            step.add(name, Kind.WEIGHT, sampled.elements)
            step.samples[name] = sampled.about

    def _weight_grad(self, step: RecordedStep, name: str, accumulated: Tensor) -> None:
        if accumulated.grad is not None:
            step.add(name, Kind.WEIGHT_GRAD, accumulated.grad)

    def _enter(self, name: str, _module: nn.Module, _args: object) -> None:
        step = self._step
        if not step.is_open:
            return
        thread = step.thread
        if not thread.inside and step.in_training:
            thread.is_counted = torch.is_grad_enabled() and is_readable()
        thread.inside.append(name)
        if thread.is_counted:
            self._order.setdefault(name, len(self._order))
            self.begin()

    def _leave(
        self,
        name: str,
        is_layer: bool,
        _module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Any,
    ) -> None:
        step = self._step
        if not step.is_open:
            return
        thread = step.thread
        if thread.inside:  # another thread's pass may have begun before there were hooks
            thread.inside.pop()
        if not is_layer or not thread.is_counted:
            return
        out = _first_tensor(output)
        if out is None:
            return
        if Kind.GRAD_OUTPUT in step.kinds and out.requires_grad:
            out.register_hook(Hook(partial(self._grad_output, step, name), self._failed))
        if in_backward():  # a checkpointed module, run again
            return
        input_ = _first_tensor((args, kwargs))
        if Kind.INPUT in step.kinds and input_ is not None:
            step.add(name, Kind.INPUT, input_)
        if Kind.OUTPUT in step.kinds:
            step.add(name, Kind.OUTPUT, out)
        self._record_change(step, name, out.detach())

    def _grad_output(
        self, step: RecordedStep, name: str, gradient: Tensor, placement: Placement | None = None
    ) -> None:
        if step.is_open:
            step.add(name, Kind.GRAD_OUTPUT, gradient, placement)

    def _observe_input(self, name: str, x: Tensor, placement: Placement | None) -> None:
        """Of a layer in compiled code; what is computed again in the backward pass is left out."""
        self.is_compiled = True
        step = self._step
        if step.is_open and Kind.INPUT in step.kinds and not in_backward():
            self._order.setdefault(name, len(self._order))
            step.add(name, Kind.INPUT, x, placement)

    def _observe_grad_output(
        self, name: str, gradient: Tensor, placement: Placement | None
    ) -> None:
        if Kind.GRAD_OUTPUT in self._step.kinds:
            self._grad_output(self._step, name, gradient, placement)

    def _record_change(self, step: RecordedStep, name: str, out: Tensor) -> None:
        if self._initial_outputs is None:
            return
        call = step.calls[name] = step.calls.get(name, -1) + 1
        if self._first:
            self._initial_outputs[name, call] = out.clone()
        elif Kind.OUTPUT_CHANGE in step.kinds:
            initial = self._initial_outputs.get((name, call))
            if initial is not None and initial.shape == out.shape:  # an expert's tokens may differ
                step.add(name, Kind.OUTPUT_CHANGE, out - initial)

    def _record_attention(self, step: RecordedStep, call: Call) -> None:
        inside = step.thread.inside
        name = inside[-1] if inside else ""
        step.head_dims[name] = call.head_dim
        step.add(name, Kind.ATTENTION_LOGITS, call.logits())


def _first_tensor(value: Any) -> Tensor | None:
    """The first floating-point tensor in a tensor, or in nested sequences, mappings or outputs."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return None
    return next((found for item in value if (found := _first_tensor(item)) is not None), None)
