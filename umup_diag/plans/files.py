"""Finding and reading check plans and the defaults in pyproject.toml."""

from collections.abc import Iterable
from pathlib import Path

from umup_diag.errors import InputError
from umup_diag.plans.document import Document

MAX_BYTES = 1 << 20  #: of a plan, or a pyproject.toml
FOLDER = Path("checks")  #: where plans stand when nothing else is said


def find(paths: Iterable[Path]) -> list[Path]:
    """The plans at these paths, in order; a folder stands for its ``*.toml``, by name.

    Raises:
        InputError: if a path is missing, or a folder holds no plan: a gate without plans would
            pass everything.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            plans = sorted(path.glob("*.toml"))
            if not plans:
                raise InputError(
                    f"there is no plan in {path}/: it has no *.toml.\n"
                    "Write a first one with: umup-diag gate --init PKG.MOD"
                )
            found |= dict.fromkeys(plans)
        elif path.is_file():
            found[path] = None
        else:
            raise InputError(
                f"there is no plan {path}.\nWrite a first one with: umup-diag gate --init PKG.MOD"
            )
    if not found:
        raise InputError("no plan was given.")
    return list(found)


def read(path: Path) -> Document:
    """A file, to be parsed.

    Raises:
        InputError: if it cannot be read, or is no text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}:1: this is longer than any plan, {MAX_BYTES} bytes at most.")
        return Document(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the plan {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}:1: this is not UTF-8 text.") from None


def pyproject(folder: Path) -> Document | None:
    """The pyproject.toml of a folder, or of the nearest one above it; None if there is none."""
    for each in (folder.resolve(), *folder.resolve().parents):
        if (each / "pyproject.toml").is_file():
            return read(each / "pyproject.toml")
    return None
