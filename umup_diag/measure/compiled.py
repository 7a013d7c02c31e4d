"""Watching compiled code, where no hook is called: an operator hands tensors over instead.

Hooks that are on a module when it is compiled are traced with it. Ours then put the operator into
the graph. A compiler neither looks into it nor leaves it out, for it says that it changes its key.
Who gets the tensor is looked up when it runs, so that nothing is compiled again when that changes.
A key is a tensor on the module that it belongs to: as a number it would be compiled into the graph,
and blocks of one kind, which share a graph, would each need their own.

The idea of an operator with a side effect is that of torchtitan's logging of tensors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from umup_diag.measure.placement import Placement

Observer = Callable[[Tensor, Placement | None], None]

_observers: dict[int, Observer] = {}
_numbers = count()

_library = torch.library.Library("umup_diag", "DEF")
_unsafe = getattr(torch.Tag, "cudagraph_unsafe", None)  # a replayed CUDA graph would not call it
_library.define(
    "observe(Tensor x, Tensor(a!) key, int[] placement=[]) -> ()",
    tags=(_unsafe,) if _unsafe else (),
)


def _observe(x: Tensor, key: Tensor, placement: Sequence[int] = ()) -> None:
    observer = _observers.get(int(key))
    if observer is not None:
        observer(x, Placement.decode(placement) if placement else None)


_library.impl("observe", _observe, "CompositeExplicitAutograd")


def _observe_nothing(_: Tensor, __: Tensor, ___: Sequence[int] = ()) -> None:
    """While a program is traced there are no numbers."""


torch.library.register_fake("umup_diag::observe", _observe_nothing, lib=_library)


def _observe_local(_: object, __: object, ___: object, args: Any, ____: object) -> None:
    """Of a DTensor, what this process has, and how it lies: that is known when it is compiled."""
    x, key = args
    with _disable_current_modes():  # the mesh is a tensor too, and no part of the program
        placement = Placement.of(x)
    assert placement is not None
    torch.ops.umup_diag.observe(x.to_local(), key, placement.encode())


@cache
def accept_dtensors() -> None:
    """Let DTensors be observed; to import their class takes a second, where nobody has yet."""
    from torch.distributed.tensor import DTensor

    torch.library.register_torch_dispatch(
        "umup_diag::observe", DTensor, _observe_local, lib=_library
    )


class _ObserveGradient(torch.autograd.Function):
    """The identity; its gradient is observed. Compilers do not trace a hook of a tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Tensor) -> Tensor:
        ctx.key = key
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        torch.ops.umup_diag.observe(gradient.detach(), ctx.key)
        return gradient, None


@contextmanager
def observed(module: nn.Module, attribute: str, *observers: Observer) -> Iterator[None]:
    """While inside, the module has a key for each observer, under a name of its own."""
    keys = [next(_numbers) for _ in observers]
    _observers.update(zip(keys, observers, strict=True))
    module.__dict__[attribute] = tuple(torch.tensor(key) for key in keys)
    try:
        yield
    finally:
        del module.__dict__[attribute]
        for key in keys:
            del _observers[key]


CALL, LAYER = "_umup_diag_call", "_umup_diag_layer"  #: attributes that hold keys


def trace_call(module: nn.Module, *_: object) -> None:
    """As a traced forward pre-hook: tell that a forward pass with gradients begins."""
    if torch.is_grad_enabled():
        (key,) = module.__dict__[CALL]
        torch.ops.umup_diag.observe(key.new_empty(0), key)


def trace_layer(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
    """As a traced forward hook: observe input and grad-output, if there are gradients."""
    if not torch.is_grad_enabled():
        return None
    input_key, gradient_key = module.__dict__[LAYER]
    for x in (*args, *kwargs.values()):
        if isinstance(x, Tensor) and x.is_floating_point():
            torch.ops.umup_diag.observe(x.detach(), input_key)
            break
    if isinstance(output, Tensor) and output.requires_grad:
        return _ObserveGradient.apply(output, gradient_key)  # type: ignore[no-untyped-call]
    return None


def is_wrapper(module: nn.Module) -> bool:
    """Whether it is what ``torch.compile`` makes of a module; importing its class takes seconds."""
    return type(module).__name__ == "OptimizedModule"


def forget(model: nn.Module) -> None:
    """If some module has run compiled already, without our hooks, let it be compiled again."""
    if any(_graphs(module) for module in model.modules()):
        torch.compiler.reset()


def _graphs(module: nn.Module) -> list[Any]:
    """What dynamo has compiled of a module's forward."""
    code = getattr(type(module).forward, "__code__", None)
    if code is None:
        return []
    return list(torch._C._dynamo.eval_frame._debug_get_cache_entry_list(code))
