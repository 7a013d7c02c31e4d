"""Tell whether a network is scaled right (µP, u-µP), which tensor is wrong, and what to change."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umup_diag.measure.record import record

__all__ = ["record"]

#: Public name → module; imported when first used, so that ``--help`` loads no torch.
_HOMES = {"record": "umup_diag.measure.record"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
