"""Files as bytes in memory that the disk backs: mapped, never read whole."""

import stat
from collections.abc import Iterator
from mmap import ACCESS_COPY, mmap
from pathlib import Path

import torch
from torch import Tensor

from umup_diag.errors import InputError

PIECE_BYTES = 1 << 26
"""How much of a tensor is looked at together."""


def size(path: Path) -> int:
    """Bytes of a regular file; follows symbolic links.

    Raises:
        InputError: if it is missing, unreadable, empty, or not a regular file (a pipe would block,
            a device may never end).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a file.")
    if not status.st_size:
        raise InputError(f"{path} is empty: nothing was saved, or the copy did not finish.")
    return status.st_size


def mapped(path: Path) -> Tensor:
    """All bytes of a file as a uint8 tensor; writes to it would stay in memory.

    Raises:
        InputError: as `size`, and if it may not be read.
    """
    size(path)
    try:
        with path.open("rb") as file:
            pages = mmap(file.fileno(), 0, access=ACCESS_COPY)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read {path}: {reason}.") from None
    return torch.frombuffer(pages, dtype=torch.uint8)


def pieces(raw: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Read bytes as elements of another type, some rows at a time.

    Yields:
        (rows, last dimension); copied only where the bytes are not aligned to the type.
    """
    if not raw.numel():
        return
    row_bytes = (shape[-1] if shape else 1) * dtype.itemsize
    for piece in raw.split(max(1, PIECE_BYTES // row_bytes) * row_bytes):
        aligned = piece.clone() if piece.storage_offset() % dtype.itemsize else piece
        yield aligned.view(dtype).view(-1, row_bytes // dtype.itemsize)
