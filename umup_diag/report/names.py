"""Short ways to name many things at once."""

import re
from collections import Counter
from collections.abc import Iterable

PLACES = ("first", "middle", "last")  #: in a stack of layers, as in layers[first].q
_PLACE = re.compile(rf"\[(?:{'|'.join(PLACES)})\]")


def starred(tensor: str) -> str:
    """The name that a tensor shares with its siblings in other layers: layers.*.q, layers[*].q."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", _PLACE.sub("[*]", tensor))


def collapse(tensors: Iterable[str], *, among: Iterable[str] = ()) -> list[str]:
    """Names with their numbers starred, each once: layers.0.q and layers.1.q become layers.*.q.

    Args:
        tensors: names.
        among: all names that there are; one is starred only if it has siblings, and all of them
            are in `tensors`.
    """
    named, every = dict.fromkeys(tensors), dict.fromkeys(among)
    alone = {starred(name) for name in every if name not in named}
    alone |= {star for star, count in Counter(map(starred, every)).items() if count == 1}
    return list(dict.fromkeys(n if starred(n) in alone else starred(n) for n in named))
