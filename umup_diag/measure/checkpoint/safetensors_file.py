"""The safetensors format: eight bytes of length, a JSON header, then the tensors end to end."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from umup_diag.errors import InputError, short
from umup_diag.measure.checkpoint import regular_file
from umup_diag.measure.checkpoint.checkpoint import MAX_DIMENSIONS, StoredTensor

_LENGTH_BYTES = 8
_MAX_HEADER = 1 << 25  # names of 200 000 tensors; the format itself allows three times as much
_METADATA = "__metadata__"

#: Name in the header → bits of an element, and what torch calls it.
_DTYPES: Mapping[str, tuple[int, torch.dtype | None]] = {
    "F64": (64, torch.float64),
    "F32": (32, torch.float32),
    "F16": (16, torch.float16),
    "BF16": (16, torch.bfloat16),
    "F8_E4M3": (8, torch.float8_e4m3fn),
    "F8_E5M2": (8, torch.float8_e5m2),
    "F8_E4M3FNUZ": (8, torch.float8_e4m3fnuz),
    "F8_E5M2FNUZ": (8, torch.float8_e5m2fnuz),
    "F8_E8M0": (8, torch.float8_e8m0fnu),
    "F6_E2M3": (6, None),
    "F6_E3M2": (6, None),
    "F4": (4, None),
    "C64": (64, torch.complex64),
    "I64": (64, torch.int64),
    "I32": (32, torch.int32),
    "I16": (16, torch.int16),
    "I8": (8, torch.int8),
    "U64": (64, torch.uint64),
    "U32": (32, torch.uint32),
    "U16": (16, torch.uint16),
    "U8": (8, torch.uint8),
    "BOOL": (8, torch.bool),
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tensor of the header; `begin` and `end` count from the end of the header."""

    name: str
    dtype: torch.dtype | None
    shape: tuple[int, ...]
    begin: int
    end: int


def read(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of a file, in the order in which their bytes lie.

    Every byte after the header must belong to one tensor, and no byte to two.

    Raises:
        InputError: if the file is not exactly what its header says.
    """
    raw = regular_file.mapped(path)
    start, header = _header(path, raw)
    entries = [_entry(path, name, fields) for name, fields in header.items() if name != _METADATA]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    at = 0
    for entry in entries:
        if entry.begin != at:
            problem = "overlaps the one before it" if entry.begin < at else "leaves a hole before"
            raise _broken(path, f"tensor {short(entry.name)} {problem}")
        at = entry.end
    held = raw.numel() - start
    if at != held:
        raise _broken(path, f"its header promises {at} bytes of tensors, and it has {held}")
    return tuple(
        StoredTensor(
            name=entry.name,
            dtype=entry.dtype,
            shape=entry.shape,
            parts=partial(_parts, raw, start, entry),
        )
        for entry in entries
    )


def _parts(raw: Tensor, start: int, entry: _Entry) -> Iterator[Tensor]:
    assert entry.dtype is not None
    part = raw[start + entry.begin : start + entry.end]
    return regular_file.pieces(part, entry.dtype, entry.shape)


def _header(path: Path, raw: Tensor) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin, and the header."""
    if raw.numel() < _LENGTH_BYTES:
        raise _broken(path, f"{raw.numel()} bytes are too few even for the length of a header")
    length = int.from_bytes(raw[:_LENGTH_BYTES].numpy().tobytes(), "little")
    held = raw.numel() - _LENGTH_BYTES
    if length > min(held, _MAX_HEADER):
        raise _broken(path, f"it announces a header of {length} bytes, and has {held} in all")
    start = _LENGTH_BYTES + length
    try:
        text = raw[_LENGTH_BYTES:start].numpy().tobytes().decode("utf-8")
        header = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"the header is not JSON ({_first_line(error)})") from None
    if not isinstance(header, dict):
        raise _broken(path, "the header is not a JSON object")
    return start, header


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a JSON object that has a name twice, which ``json`` would take the last of.

    Raises:
        ValueError: if it has.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{short(twice)} is there twice")
    return found


def _entry(path: Path, name: str, fields: Any) -> _Entry:
    where = f"tensor {short(name)}"
    if not isinstance(fields, dict) or not {"dtype", "shape", "data_offsets"} <= fields.keys():
        raise _broken(path, f"{where} lacks a dtype, a shape or data_offsets")
    shape, offsets, dtype = fields["shape"], fields["data_offsets"], fields["dtype"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _broken(path, f"{where} has the unknown dtype {short(dtype)}")
    if isinstance(shape, list) and len(shape) > MAX_DIMENSIONS:
        raise _broken(path, f"{where} has {len(shape)} dimensions, more than torch can")
    if not _are_sizes(shape):
        raise _broken(path, f"{where} has the shape {short(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _broken(path, f"{where} has the offsets {short(offsets)}")
    bits, torch_dtype = _DTYPES[dtype]
    begin, end = offsets
    if prod(shape) * bits != 8 * (end - begin):
        raise _broken(
            path,
            f"{where} of {dtype} and shape {short(shape)} does not fill its {end - begin} bytes",
        )
    return _Entry(name, torch_dtype, tuple(shape), begin, end)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 2**63 for item in value
    )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:80]


def _broken(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a whole safetensors file: {problem}.\nCopy or save it again.")
