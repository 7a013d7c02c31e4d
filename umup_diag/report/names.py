"""Short ways to name many things at once."""

import re
from collections.abc import Iterable


def collapse(tensors: Iterable[str]) -> list[str]:
    """Names with their numbers starred, each once: layers.0.q and layers.1.q become layers.*.q."""
    return list(dict.fromkeys(re.sub(r"(?<![^.])\d+(?![^.])", "*", tensor) for tensor in tensors))
