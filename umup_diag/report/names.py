"""Short ways to name many things at once."""

import re
from collections.abc import Iterable


def starred(tensor: str) -> str:
    """The name that a tensor shares with its siblings in other layers: layers.*.q."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", tensor)


def collapse(tensors: Iterable[str], *, among: Iterable[str] = ()) -> list[str]:
    """Names with their numbers starred, each once: layers.0.q and layers.1.q become layers.*.q.

    Args:
        tensors: names.
        among: all names that there are; one is starred only if all its siblings are in `tensors`.
    """
    named = dict.fromkeys(tensors)
    alone = {starred(name) for name in among if name not in named}
    return list(dict.fromkeys(n if starred(n) in alone else starred(n) for n in named))
