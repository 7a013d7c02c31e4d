"""A module's class, or any factory, as a function of the width alone."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from umup_diag.errors import InputError

Build = Callable[..., nn.Module]  #: of the width, and of other axes by name

#: What people call the width, the first that a signature has.
NAMES = (
    *("width", "d_model", "hidden_size", "hidden_dim", "n_embd", "embed_dim", "embedding_dim"),
    *("dim", "d", "n", "channels", "hidden", "features"),
)
_REQUIRED = inspect.Parameter.empty
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def of_width(make: Callable[..., Any], given: Mapping[str, Any], *, path: str) -> Build:
    """`make` with all that it needs but the width, which is its argument of that name.

    Where no argument is called by a name that widths have, it is the only one that must be given.

    Args:
        make: a class or a function.
        given: arguments by name.
        path: what the user calls it.

    Raises:
        InputError: if it is not clear which argument is the width, or if more must be given.
    """
    try:
        parameters = list(inspect.signature(make).parameters.values())
    except ValueError:  # written in C
        parameters = []
    missing = [
        each.name
        for each in parameters
        if each.default is _REQUIRED
        and each.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        and each.name not in given
    ]
    names = {each.name for each in parameters if each.kind in _BY_NAME} - set(given)
    width = next((name for name in NAMES if name in names), None)
    if width is None and len(missing) == 1:
        (width,) = missing
    rest = [name for name in missing if name != width]
    if width is None or rest:
        takes = ", ".join(str(each).split(":")[0].split("=")[0] for each in parameters)
        lacks = f"does not say what {', '.join(rest)} should be" if width else "has no width"
        raise InputError(
            f"--model {path}: {getattr(make, '__name__', path)}({takes}) {lacks}.\n"
            "Write build(width) -> nn.Module in a module of your own, and name that."
        )
    if width not in names:  # positional only
        return partial(make, **given)
    return _Build(partial(make, **given), width)


class _Build:
    def __init__(self, make: Callable[..., nn.Module], name: str) -> None:
        self._make, self._name = make, name

    def __call__(self, width: int, **sizes: int) -> nn.Module:
        return self._make(**{self._name: width}, **sizes)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._make)
