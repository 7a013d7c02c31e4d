"""Files of ``torch.save``: mapped, and read without ever running what is in them."""

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from umup_diag.errors import InputError, short
from umup_diag.measure.checkpoint import regular_file
from umup_diag.measure.checkpoint.checkpoint import StoredTensor
from umup_diag.measure.checkpoint.plain_pickle import NotPlainError, rehearse

_FORBIDDEN = re.compile(r"GLOBAL (\S+)|(?:call|class|type|instance of)[^\w]+([\w.]+\.[\w.]+)")
_MAX_DEPTH = 64
_LEGACY_PICKLES = 5  # of torch before 1.6: magic number, version, system, content, keys of storages


def read(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of a file, nested dictionaries and lists joined by dots.

    Raises:
        InputError: if the file is not one of torch's, is damaged, or holds anything but data.
    """
    held = regular_file.size(path)
    is_zip = _is_zip(path)
    if is_zip:
        with path.open("rb") as file:
            check_archive(file, str(path))
    _rehearse(path, is_zip=is_zip)
    content = load(path, str(path), mmap=is_zip, map_location="cpu")
    found: dict[str, Tensor] = {}
    _flatten(content, (), found, set(), path)
    if not found:
        raise InputError(
            f"{path} holds no tensors. Save model.state_dict(), or a dictionary that has it."
        )
    for name, tensor in found.items():
        _check_extent(name, tensor, path, held)
    return tuple(
        StoredTensor(
            name=name,
            dtype=tensor.dtype,
            shape=tuple(tensor.shape),
            parts=partial(_parts, tensor),
        )
        for name, tensor in found.items()
    )


def load(source: Path | IO[bytes], where: str, **how: Any) -> Any:
    """``torch.load`` of data only, with one clear error for whatever may be wrong.

    Raises:
        InputError: if it is not data that torch saved.
    """
    try:
        return torch.load(source, weights_only=True, **how)
    except MemoryError:
        raise InputError(f"{where} asks for more memory than there is; it is damaged.") from None
    except Exception as error:  # a damaged or hostile file may raise anything at all
        raise InputError(f"cannot read {where}: {_reason(error)}") from None


def _rehearse(path: Path, *, is_zip: bool) -> None:
    """Refuse pickles whose loading might take for ever; other damage is torch's to find.

    Raises:
        InputError: if one has a key that is not plain.
    """
    try:
        with path.open("rb") as file:
            if not is_zip:
                for _ in range(_LEGACY_PICKLES):
                    rehearse(file)
                return
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    if member.filename.endswith("data.pkl"):
                        rehearse(io.BytesIO(archive.read(member)))
    except NotPlainError as error:
        raise InputError(f"cannot read {path}: {error}.") from None
    except Exception:  # it is damaged: torch says how
        return


def check_archive(file: IO[bytes], where: str) -> None:
    """Refuse a zip archive that torch cannot have written, before torch reads it.

    Torch stores members as they are. A compressed one could grow without bound, and members that
    claim more bytes than there are, or the same name twice, are damage or worse.

    Raises:
        InputError: if it is such.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, KeyError) as error:
        raise _truncated(where, str(error) or "it is cut short") from None
    held = file.seek(0, 2)
    file.seek(0)
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise InputError(f"cannot read {where}: a member is compressed; torch never does that.")
    if sum(member.file_size for member in members) > held:
        raise _truncated(where, "its members claim more bytes than it has")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise _truncated(where, "a member is there twice")
    if any(name.endswith("/constants.pkl") for name in names):
        raise InputError(
            f"{where} is a TorchScript program, not a checkpoint.\nSave model.state_dict() instead."
        )


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None


def _truncated(where: str, problem: str) -> InputError:
    return InputError(
        f"{where} is not a whole checkpoint of torch: {problem}.\nCopy or save it again."
    )


def _reason(error: Exception) -> str:
    """What is wrong, in a line; torch's own messages run to a screenful."""
    text = str(error)
    if forbidden := _FORBIDDEN.search(text):
        name = forbidden.group(1) or forbidden.group(2)
        return (
            f"it holds {name}, not only tensors, and loading that would run code.\n"
            "Nothing was run. Save model.state_dict() instead."
        )
    first = next(iter(text.splitlines()), "") or "no reason given"
    if "WeightsUnpickler error" in text:
        first = text.partition("WeightsUnpickler error:")[2].strip().splitlines()[0] or first
    return f"it is damaged, or not a file of torch.save ({type(error).__name__}: {first[:120]})."


def _flatten(
    value: Any, at: tuple[str, ...], found: dict[str, Tensor], seen: set[int], path: Path
) -> None:
    """Collect tensors by dotted name; a container that occurs twice is looked at once."""
    if isinstance(value, Tensor):
        name = ".".join(at) or "tensor"
        if name in found:
            raise InputError(f"{path} names the tensor {short(name)} twice.")
        found[name] = value
        return
    if not isinstance(value, Mapping | list | tuple) or id(value) in seen:
        return
    if len(at) > _MAX_DEPTH:
        raise InputError(f"{path} nests its tensors more than {_MAX_DEPTH} levels deep.")
    seen.add(id(value))
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in items:
        _flatten(item, (*at, str(key)), found, seen, path)


def _check_extent(name: str, tensor: Tensor, path: Path, held: int) -> None:
    """Refuse a tensor that claims more than the file has; torch may have made room for it."""
    if tensor.layout is not torch.strided or tensor.is_meta:
        raise InputError(f"{path}: tensor {short(name)} is not dense ({tensor.layout}).")
    claimed = max(tensor.untyped_storage().nbytes(), _distinct(tensor).nbytes)
    if claimed > held:
        raise _truncated(
            str(path), f"tensor {short(name)} claims {claimed} bytes, the file has {held}"
        )


def _distinct(tensor: Tensor) -> Tensor:
    """A tensor without the dimensions along which it was only expanded."""
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if size > 1 and stride == 0:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    stored = _distinct(tensor.detach())
    if stored.dim() < 2 or not stored.numel():
        return iter((stored,))
    rows = max(1, regular_file.PIECE_BYTES // max(1, stored[0].nbytes))
    return iter(stored.split(rows))
