"""Models of any size built without their memory: shapes and names, and no numbers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

#: Of `Tensor`, what draws numbers in place; `torch.nn.init` is recognised by its module.
_DRAWING = frozenset({"normal_", "uniform_", "exponential_", "bernoulli_", "random_"})


class _WithoutDrawing(TorchFunctionMode):
    """Leaves initialisers out: on the meta device they do nothing, and take seconds to load."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        is_initialiser = getattr(func, "__module__", None) == "torch.nn.init"
        if is_initialiser or getattr(func, "__name__", None) in _DRAWING:
            tensor = args[0] if args else named["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **named)


@contextmanager
def without_memory() -> Iterator[None]:
    """What is built inside is on the meta device."""
    with torch.device("meta"), _WithoutDrawing():
        yield
