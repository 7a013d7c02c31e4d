"""Code that a user wrote and umup-diag calls: what it raises becomes a line that says where.

A model's `build`, `loss`, `batches` and `optimizer`, and an op, may raise anything at all. None of
it is a fault of umup-diag, and the place in the user's file is what the user needs.
"""

import importlib
import os
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

from umup_diag.errors import InputError, in_a_line

_OURS = Path(__file__).parents[1]
_INSTALLED = tuple(
    {
        *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
        *map(Path, site.getsitepackages()),
    }
)
#: What takes the place of code that a user may write: the default loss, a class as a builder.
_STANDS_IN = _OURS / "measure" / "subject"
#: Functions of ours that call what the user asked torch for, with the user's arguments.
_PASS_ON = ("__torch_function__", "watched_")


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Turn what a user's code raises, or that it exits, into an InputError naming file and line.

    An error of ours under it, in a hook for instance, is let through as it is.

    Args:
        what: was called, as the message begins: ``--model pkg.mod: build(64)``.

    Raises:
        InputError: if it raised.
    """
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        place = _place(error)
        if place is None:
            raise
        raise InputError(f"{what} {_said(error, place)}") from error


def import_module(name: str, what: str) -> ModuleType:
    """Import a module; the working directory counts as on the path.

    Args:
        name: ``pkg.mod``.
        what: asked for it, as the message begins: ``--model pkg.mod``.

    Raises:
        InputError: if there is no such module, or if importing it fails.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    with calling(f"{what}: importing it"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(error.name + ".")):
                raise InputError(
                    f"{what}: there is no module {error.name!r} here or on the Python path."
                ) from None
            raise


def _said(error: BaseException, place: str) -> str:
    match error:
        case SystemExit():
            return (
                f"called sys.exit({'' if error.code is None else repr(error.code)}){place}.\n"
                'Put what runs as a script under if __name__ == "__main__".'
            )
        case SyntaxError():
            where = f"{_relative(error.filename)}:{error.lineno}" if error.filename else "a file"
            return f"met a {type(error).__name__} at {where}: {error.msg}"
        case _:
            return f"raised {type(error).__name__}{place}: {in_a_line(error)}"


def _place(error: BaseException) -> str | None:
    """`` at file:line``: the innermost line that the user wrote; None if the error is ours."""
    walked = list(traceback.walk_tb(error.__traceback__))[1:]  # the first is `calling` itself
    if walked and _is_ours(walked[0][0]):  # who holds the `with`
        walked = walked[1:]
    for mark in (_is_users, _is_installed):
        marked = [at for at, (frame, _) in enumerate(walked) if mark(frame)]
        if marked:
            beneath = walked[marked[-1] + 1 :]
            if any(_is_ours(frame) for frame, _ in beneath):
                return None
            frame, line = walked[marked[-1]]
            return f" at {_relative(frame.f_code.co_filename)}:{line}"
    return None if any(_is_ours(frame) for frame, _ in walked) else ""


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not (_is_within(file, _OURS, *_INSTALLED) or file.startswith("<"))


def _is_installed(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return "site-packages" in file and not _is_within(file, _OURS) and "/torch/" not in file


def _is_ours(frame: FrameType) -> bool:
    code = frame.f_code
    return (
        _is_within(code.co_filename, _OURS)
        and not _is_within(code.co_filename, _STANDS_IN)
        and not code.co_name.startswith(_PASS_ON)
    )


def _is_within(file: str, *folders: Path) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _relative(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
