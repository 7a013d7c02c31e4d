"""The valid name that a wrong one was probably meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'seeds'?``, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def missing(found: Iterable[str], wanted: Iterable[str]) -> str:
    """`` There is 'chekc'.``: a key that looks like a missing one written wrongly; or nothing."""
    wanted = list(wanted)
    for name in found:
        if name not in wanted and difflib.get_close_matches(name, wanted, n=1, cutoff=0.6):
            return f" There is {name!r}."
    return ""
