"""Folders of ``torch.distributed.checkpoint``: a ``.metadata`` and the shards that it points to.

Torch unpickles ``.metadata`` as it stands, which runs whatever is in it. Here only the classes that
the format needs can come out of it.
"""

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath
from typing import IO, Any

import torch
from torch import Tensor
from torch.distributed.checkpoint import filesystem, metadata

from umup_diag.errors import InputError, short
from umup_diag.measure.checkpoint import regular_file, torch_file
from umup_diag.measure.checkpoint.checkpoint import MAX_DIMENSIONS, StoredTensor
from umup_diag.measure.checkpoint.plain_pickle import PlainUnpickler

METADATA = ".metadata"
_LOCAL_HEADER = 30  # bytes of a zip member's local header before its name


def _new_dict() -> dict[Any, Any]:
    """An OrderedDict, which pickles as an empty one that is filled; items given are refused."""
    return {}


_CLASSES: Mapping[tuple[str, str], Any] = {
    (found.__module__, found.__qualname__): found
    for found in (
        metadata.Metadata,
        metadata.TensorStorageMetadata,
        metadata.BytesStorageMetadata,
        metadata.TensorProperties,
        metadata.ChunkStorageMetadata,
        metadata.MetadataIndex,
        metadata.StorageMeta,
        metadata._MEM_FORMAT_ENCODING,
        filesystem._StorageInfo,
    )
} | {
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
    ("collections", "OrderedDict"): _new_dict,
    # The folder in which it was saved; nothing is opened by it.
    ("pathlib", "PosixPath"): PurePosixPath,
    ("pathlib", "WindowsPath"): PurePosixPath,
    ("pathlib._local", "PosixPath"): PurePosixPath,
    ("pathlib._local", "WindowsPath"): PurePosixPath,
}


class _DataOnly(PlainUnpickler):
    """Unpickles the format's own classes and refuses all others."""

    def is_plain(self, key: Any) -> bool:
        """Also where a piece lies: its name and offset."""
        if type(key) is metadata.MetadataIndex:
            offset = key.offset if key.offset is None else tuple(key.offset)
            return all(map(super().is_plain, (key.fqn, offset, key.index)))
        return super().is_plain(key)

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        try:
            return _CLASSES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it holds {module}.{name}, and loading that would run code; nothing was run"
            ) from None


@dataclass(frozen=True, slots=True)
class _Shard:
    """Where one saved piece of a tensor lies."""

    file: Path
    offset: int
    length: int
    shape: tuple[int, ...]


def read(folder: Path) -> tuple[StoredTensor, ...]:
    """The tensors that a folder's metadata lists.

    Raises:
        InputError: if the metadata is not data alone, or the shards do not make up its tensors.
    """
    try:
        return tuple(_tensors(folder, _metadata(folder / METADATA)))
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise _broken(folder, f"{type(error).__name__}: {str(error)[:100]}") from None


def _metadata(path: Path) -> metadata.Metadata:
    raw = regular_file.mapped(path).numpy().tobytes()
    try:
        loaded = _DataOnly(io.BytesIO(raw)).load()
    except pickle.UnpicklingError as error:
        raise InputError(f"cannot read {path}: {str(error)[:200]}.") from None
    except Exception as error:  # a damaged or hostile pickle may raise anything at all
        raise _broken(path.parent, f"{type(error).__name__}: {str(error)[:100]}") from None
    if not isinstance(loaded, metadata.Metadata):
        raise _broken(path.parent, f"it holds a {type(loaded).__name__}")
    return loaded


def _tensors(folder: Path, listed: metadata.Metadata) -> Iterator[StoredTensor]:
    shards: dict[str, list[tuple[metadata.MetadataIndex, Any]]] = {}
    for index, info in dict(listed.storage_data).items():
        shards.setdefault(index.fqn, []).append((index, info))
    for name, about in dict(listed.state_dict_metadata).items():
        if not isinstance(about, metadata.TensorStorageMetadata):
            continue
        shape = _sizes(about.size)
        pieces = {_sizes(chunk.offsets): _sizes(chunk.sizes) for chunk in about.chunks}
        found = [
            _shard(folder, name, info, pieces[_sizes(index.offset)])
            for index, info in shards.get(name, [])
        ]
        held = sum(prod(shard.shape) for shard in found)
        if held != prod(shape) or len(found) != len(pieces):
            raise _broken(folder, f"tensor {short(name)} has {held} of its {prod(shape)} elements")
        dtype = about.properties.dtype
        if not isinstance(dtype, torch.dtype):
            raise _broken(folder, f"tensor {short(name)} has a {type(dtype).__name__} for a dtype")
        yield StoredTensor(
            name=name, dtype=dtype, shape=shape, parts=partial(_parts, tuple(found), dtype)
        )


def _shard(folder: Path, name: str, info: Any, shape: tuple[int, ...]) -> _Shard:
    relative = PurePosixPath(info.relative_path)
    if relative.is_absolute() or ".." in relative.parts:
        raise _broken(folder, f"tensor {short(name)} points outside the folder, to {relative}")
    if getattr(info, "transform_descriptors", None):
        raise InputError(
            f"{folder}: tensor {short(name)} was saved compressed or encrypted.\nSave it without."
        )
    file = folder / relative
    offset, length = _sizes((info.offset, info.length))
    if offset + length > regular_file.size(file):
        raise _broken(folder, f"{relative} ends before tensor {short(name)} does")
    return _Shard(file, offset, length, shape)


def _sizes(value: Any) -> tuple[int, ...]:
    sizes = tuple(value)
    if len(sizes) > MAX_DIMENSIONS:
        raise ValueError(f"{len(sizes)} dimensions, and torch has {MAX_DIMENSIONS} at most")
    if not all(type(size) is int and 0 <= size < 2**63 for size in sizes):
        raise ValueError("a size that is no size")
    return sizes


def _parts(shards: tuple[_Shard, ...], dtype: torch.dtype) -> Iterator[Tensor]:
    for shard in shards:
        yield from _open(shard, dtype)


def _open(shard: _Shard, dtype: torch.dtype) -> Iterator[Tensor]:
    """The rows of a piece, which is a whole file of ``torch.save`` inside a larger one."""
    where = f"{shard.file} at byte {shard.offset}"
    raw = regular_file.mapped(shard.file)[shard.offset : shard.offset + shard.length]
    with io.BufferedReader(_Bytes(raw)) as file:
        torch_file.check_archive(file, where)
        outline = torch_file.load(file, where, map_location="meta")
        if not isinstance(outline, Tensor) or outline.dtype is not dtype:
            raise InputError(f"{where}: not the {dtype} tensor that the metadata says it is.")
        if tuple(outline.shape) != shard.shape or not outline.is_contiguous():
            raise InputError(f"{where}: not of the shape {shard.shape} that the metadata says.")
        begin = _storage(file, where) + outline.storage_offset() * dtype.itemsize
    stored = raw[begin : begin + outline.nbytes]
    if stored.numel() < outline.nbytes:
        raise InputError(f"{where}: ends before its tensor does. Copy or save it again.")
    return regular_file.pieces(stored, dtype, shard.shape)


def _storage(file: IO[bytes], where: str) -> int:
    """Where the elements begin."""
    with zipfile.ZipFile(file) as archive:
        members = [each for each in archive.infolist() if each.filename.endswith("/data/0")]
    if len(members) != 1:
        raise InputError(f"{where}: has {len(members)} storages where one is expected.")
    file.seek(members[0].header_offset)
    local = file.read(_LOCAL_HEADER)
    lengths = (int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
    return members[0].header_offset + _LOCAL_HEADER + sum(lengths)


class _Bytes(io.RawIOBase):
    """Mapped bytes as a file."""

    def __init__(self, raw: Tensor) -> None:
        self._view, self._at = memoryview(raw.numpy().data), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        if start + offset < 0:
            raise OSError(f"cannot seek to {start + offset}")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        given = self._view[self._at : self._at + len(buffer)]
        buffer[: len(given)] = given
        self._at += len(given)
        return len(given)


def _broken(folder: Path, problem: str) -> InputError:
    return InputError(
        f"{folder} is not a whole checkpoint of torch.distributed: {problem}.\n"
        "Copy or save it again."
    )
