"""Who wants to know that an optimizer has stepped, whichever it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

Listener = Callable[[Optimizer], None]

_lock = Lock()
_listeners: tuple[
    Listener, ...
] = ()  # replaced, never changed: another thread may be going over it
_is_registered = False


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """While inside, `listener` is called after each step of any optimizer, on its thread.

    torch goes over its own table of hooks while it calls them, and fails in one thread if another
    thread changes that table meanwhile. So it gets one hook, at the first use, for good.
    """
    global _is_registered, _listeners
    with _lock:
        if not _is_registered:
            register_optimizer_step_post_hook(_tell)
            _is_registered = True
        _listeners = (*_listeners, listener)
    try:
        yield
    finally:
        with _lock:
            _listeners = tuple(each for each in _listeners if each != listener)


def _tell(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
    for listener in _listeners:
        listener(optimizer)
