"""What can be seen to be wrong with a setting before torch or a model is loaded.

Each takes a value and raises ValueError with what is wrong and what to do.
"""

import difflib
import os
import re
import sys
from collections.abc import Sequence
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from umup_diag.settings.nearest import nearest

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
#: A pattern in which every bracket that opens a set is closed; the first of a set may be ].
_CLOSED = re.compile(r"(?:[^\[]|\[!?+\]?+[^\]]*+\])*+")
_DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "hpu", "npu", "mtia", "xla", "privateuseone")


def import_path(text: str) -> None:
    """``pkg.mod`` or ``pkg.mod:attribute``, of which the first part is there to import."""
    module, colon, attribute = text.partition(":")
    if _ADDRESS.match(text):
        raise ValueError(
            "this is an address, and nothing is downloaded.\n"
            "Give a module of your own that offers build(width), as pkg.mod or pkg.mod:attribute."
        )
    if not module or (colon and not attribute):
        raise ValueError("write pkg.mod or pkg.mod:attribute, a module that offers build(width).")
    if module.endswith(".py"):
        if not Path(module).is_file():
            raise ValueError(f"there is no file {module}.")
        return
    if "/" in module and Path(f"{module}.py").is_file():
        raise ValueError(f"this is a file; name it whole: {module}.py{colon}{attribute}")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(
            "this is no import path such as pkg.mod.\nNothing is loaded from a hub or a folder: "
            "write a module that offers build(width), and name it."
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    first = module.partition(".")[0]
    invalidate_caches()
    if first not in sys.modules and find_spec(first) is None:
        here = [each.stem for each in Path().glob("*.py")]
        raise ValueError(
            f"there is no module {first!r} here or on the Python path{nearest(first, here) or '.'}"
        )


def text_file(path: Path) -> None:
    """A file that can be read and is not empty."""
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise ValueError(f"cannot read the text {path}: {error.strerror}.") from None
    if is_empty:
        raise ValueError(f"the text {path} is empty; give one of at least a few kilobytes.")


def device(name: str) -> None:
    """``auto``, or a device of torch's with or without a number."""
    kind, colon, number = name.partition(":")
    if kind not in _DEVICES or (colon and not number.isdigit()):
        close = difflib.get_close_matches(kind, _DEVICES, n=1, cutoff=0.5)
        meant = f"; did you mean {close[0]!r}?" if close else "."
        raise ValueError(f"there is no such device{meant} Give auto, cpu, cuda or cuda:1.")


def patterns(several: Sequence[str]) -> None:
    """Patterns of names as in a shell."""
    for pattern in several:
        if not pattern:
            raise ValueError("an empty pattern names no tensor; '*' names every one.")
        if not _CLOSED.fullmatch(pattern):
            raise ValueError(f"{pattern!r} has a [ without its ]; a bracket itself is written [[].")


def existing_paths(paths: Sequence[Path]) -> None:
    """Files or folders that are there, each once."""
    seen: dict[Path, Path] = {}
    for path in paths:
        if _ADDRESS.match(str(path)):
            raise ValueError(f"{path} is an address, and nothing is downloaded; give a file.")
        if not str(path) or path == Path():
            continue
        try:
            path.stat()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"cannot read {path}: {reason}.") from None
        whole = path.resolve()
        if whole in seen:
            raise ValueError(f"{path} and {seen[whole]} are the same; name each once.")
        seen[whole] = path
