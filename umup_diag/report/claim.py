"""One writer at a time in a folder of results."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from umup_diag.errors import InputError

LOCK = ".lock"


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Keep a folder to oneself while writing there; it is made if need be, and gone if left empty.

    The lock is the operating system's, on a file in the folder: it ends with the process, however
    that ends, and holds between machines that share the folder.

    Raises:
        InputError: if another process writes there, or if the folder cannot be made.
    """
    from filelock import FileLock, Timeout  # torch needs it too

    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    lock = FileLock(out / LOCK, blocking=False)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another umup-diag is writing to {out} just now.\n"
            "Wait until it has ended, or give another folder by --out."
        ) from None
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}.") from None
    try:
        yield
    finally:
        with suppress(OSError):  # removed while it is held: who waits for it sees that it is gone
            (out / LOCK).unlink()
        lock.release()
        for folder in made:
            with suppress(OSError):  # not empty, as it should be
                folder.rmdir()
