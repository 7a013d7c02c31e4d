"""What can go wrong: what a user is meant to read, and the exit codes."""

import errno
import traceback
from enum import IntEnum
from pathlib import Path
from typing import Any


class InputError(Exception):
    """Bad input or bad usage: one or two lines saying what is wrong, where, and what to do.

    The command line prints the message alone and exits with 2; a library user catches it like any
    other exception.
    """


class ExitCode(IntEnum):
    """How every command ends. A failure of umup-diag itself never looks like a failed check."""

    PASS = 0
    FAIL = 1
    INPUT = 2
    INCONCLUSIVE = 3
    INTERNAL = 70  #: EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  #: as a shell reports a process that Ctrl-C ended
    BROKEN_PIPE = 141  #: as a shell reports a process that nobody reads any more


EXIT_CODES = (
    "0 every check passes, 1 one fails, 2 could not run, 3 inconclusive, 70 a fault of umup-diag "
    "itself, 130 interrupted."
)

#: What a disk, a folder or a limit of the system may refuse at any moment: no fault of ours.
_OF_THE_SYSTEM = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
        *(
            errno.ENFILE,
            errno.EMFILE,
            errno.ENOENT,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.ENAMETOOLONG,
        ),
        *(errno.EFBIG, errno.ELOOP, errno.ENOMEM, errno.ESTALE, errno.ENODEV, errno.ENXIO),
    }
)


def explain(error: Exception) -> tuple[ExitCode, str]:
    """The exit code for an exception that ended a command, and what to say of it."""
    match error:
        case InputError():
            return ExitCode.INPUT, f"Error: {error}"
        case MemoryError():
            text = "Error: there is not enough memory; give smaller widths, or a smaller batch."
            return ExitCode.INPUT, text
        case OSError(errno=int(number)) if number in _OF_THE_SYSTEM:
            of_what = f" {error.filename}" if error.filename else ""
            return ExitCode.INPUT, f"Error: cannot read or write{of_what}: {error.strerror}."
        case _:
            return ExitCode.INTERNAL, _internal(error)


def _internal(error: Exception) -> str:
    here = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if Path(each.filename).is_relative_to(here)] or frames
    where = f" at {_short(here, ours[-1].filename)}:{ours[-1].lineno}" if ours else ""
    return (
        f"Internal error: {type(error).__name__}{where}: {in_a_line(error)}\n"
        "This is a fault of umup-diag, not of your input: please report it, with the command and "
        "what it prints with --debug."
    )


def _short(package: Path, file: str) -> str:
    path = Path(file)
    return str(path.relative_to(package.parent) if path.is_relative_to(package.parent) else path)


def in_a_line(error: BaseException, *, at_most: int = 240) -> str:
    """The message of an exception as one line; those of torch run to a screenful."""
    text = " ".join(str(error).split()) or "no message"
    return text if len(text) <= at_most else text[: at_most - 1] + "…"


def short(value: Any, *, at_most: int = 60) -> str:
    """A value as Python writes it, cut; of one that is too long or deep to write, its type."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        return f"a {type(value).__name__}"
    return text if len(text) <= at_most else text[: at_most - 1] + "…"
