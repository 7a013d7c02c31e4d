"""A hook on somebody else's model, which must never fail it and must stay out of its copies."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True, slots=True)
class Hook:
    """Calls `see`, and does not answer: what the model computes is not touched.

    A model is copied for an average of its weights and pickled for a checkpoint, hooks and all. The
    copy of a hook must not watch another model, and a file must not need umup_diag to be read: it
    becomes a method of Python's own that takes any arguments and does nothing.

    Attributes:
        see: gets what the hook gets.
        failed: gets an exception of `see`; None lets it through, into the model's own code.
        traced: what is compiled into the model in place of `see`; None for nothing.
    """

    see: Callable[..., None]
    failed: Callable[[Exception], None] | None = None
    traced: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Hand on what torch hands to a hook."""
        if torch.compiler.is_compiling():
            return None if self.traced is None else self.traced(*args)
        if self.failed is None:
            return self.see(*args)
        try:
            return self.see(*args)
        except Exception as error:  # whatever it is, it is ours, and not the model's
            return self.failed(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")


@contextmanager
def around(hooks: Iterable[tuple[nn.Module, Hook, Hook]]) -> Iterator[None]:
    """While inside, modules have a hook before and a hook after their forward.

    The second gets module, arguments, keyword arguments and output, as the module's own forward
    gave it, and is called after an exception too. All have one number, which torch gives to nobody
    else: compiled code is held to its hooks by number, and blocks that share it must agree.
    """
    number = RemovableHandle(OrderedDict()).id
    modules = []
    try:
        for module, before, after in hooks:
            modules.append(module)
            module._forward_pre_hooks[number] = before
            module._forward_hooks[number] = after
            module._forward_hooks.move_to_end(number, last=False)  # type: ignore[attr-defined]
            module._forward_hooks_with_kwargs[number] = True
            module._forward_hooks_always_called[number] = True
        yield
    finally:
        for module in modules:
            for table in (
                module._forward_pre_hooks,
                module._forward_hooks,
                module._forward_hooks_with_kwargs,
                module._forward_hooks_always_called,
            ):
                table.pop(number, None)
