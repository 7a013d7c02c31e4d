"""Opening a checkpoint, whatever it is: a file, a sharded folder, a distributed one."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from umup_diag.errors import InputError, short
from umup_diag.measure.checkpoint import (
    distributed_folder,
    regular_file,
    safetensors_file,
    torch_file,
)
from umup_diag.measure.checkpoint.checkpoint import Checkpoint, StoredTensor
from umup_diag.measure.checkpoint.endings import INDEX, SAFETENSORS, TORCH, what_it_is

_MAX_NAME = 4096


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint; its tensors are read when asked for.

    A folder is one of ``torch.distributed.checkpoint`` (it has a ``.metadata``), or has an index
    (``*.index.json``), or holds safetensors files, all of which are taken, or one file of torch's.

    Raises:
        InputError: if there is none, or it is damaged; says what is wrong and where.
    """
    try:
        is_folder = path.is_dir()
        if not is_folder:
            path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    tensors = _folder(path) if is_folder else _file(path)
    for tensor in tensors:
        if not _is_name(tensor.name):
            raise InputError(
                f"{path} has a tensor whose name no text can hold: {tensor.name[:40]!r}."
            )
    return Checkpoint(path=path, tensors=tensors)


def _file(path: Path) -> tuple[StoredTensor, ...]:
    if path.name.endswith(INDEX):
        return _indexed(path)
    if path.suffix in SAFETENSORS:
        return safetensors_file.read(path)
    if path.suffix in TORCH:
        return torch_file.read(path)
    regular_file.size(path)
    try:
        raise InputError(what_it_is(path))
    except OSError as error:
        raise _unreadable(path, error) from None


def _folder(path: Path) -> tuple[StoredTensor, ...]:
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise _unreadable(path, error) from None
    if distributed_folder.METADATA in names:
        return distributed_folder.read(path)
    indices = [name for name in names if name.endswith(INDEX)]
    if indices:
        return _indexed(path / _only(path, indices))
    if files := [name for name in names if name.endswith(SAFETENSORS)]:
        return _all(path, files)
    if files := [name for name in names if name.endswith(TORCH)]:
        return torch_file.read(path / _only(path, files))
    raise InputError(
        f"{path} holds no checkpoint: no .metadata, *{INDEX}, *.safetensors or "
        f"{', '.join('*' + ending for ending in TORCH)}, and no recording.jsonl."
    )


def _only(path: Path, names: list[str]) -> str:
    """The one of that kind; of two indices, the one of safetensors."""
    if len(names) > 1:
        names = [name for name in names if name.endswith(".safetensors" + INDEX)] or names
    if len(names) > 1:
        raise InputError(f"{path} has {', '.join(names[:4])}; name the one to look at.")
    return names[0]


def _all(folder: Path, names: list[str]) -> tuple[StoredTensor, ...]:
    found: dict[str, StoredTensor] = {}
    for name in names:
        for tensor in safetensors_file.read(folder / name):
            if tensor.name in found:
                raise InputError(
                    f"{folder}: tensor {short(tensor.name)} is in two files, one of them {name}, "
                    f"and no *{INDEX} tells which counts.\nName the file to look at."
                )
            found[tensor.name] = tensor
    return tuple(found.values())


def _indexed(path: Path) -> tuple[StoredTensor, ...]:
    """The tensors of an index, each from the shard that the index puts it in."""
    placed = _weight_map(path)
    shards: dict[str, dict[str, StoredTensor]] = {}
    for shard in dict.fromkeys(placed.values()):
        relative = PurePosixPath(shard)
        if relative.is_absolute() or ".." in relative.parts or not _is_name(shard):
            raise InputError(f"{path} points outside its folder, to {short(shard)}.")
        file = path.parent / relative
        read = safetensors_file.read if file.suffix in SAFETENSORS else torch_file.read
        shards[shard] = {tensor.name: tensor for tensor in read(file)}
    found = []
    for name, shard in placed.items():
        if name not in shards[shard]:
            raise InputError(
                f"{path} puts tensor {short(name)} in {short(shard)}, which does not have it.\n"
                "Index and shards are not from the same save."
            )
        found.append(shards[shard][name])
    return tuple(found)


def _weight_map(path: Path) -> dict[str, str]:
    raw = regular_file.mapped(path).numpy().tobytes()
    try:
        index = json.loads(raw.decode("utf-8"), object_pairs_hook=safetensors_file.unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not an index: {str(error)[:100]}.") from None
    placed = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(placed, dict) or not placed or not all(map(_is_text, placed.values())):
        raise InputError(f"{path} is not an index: it has no weight_map from tensors to files.")
    return placed


def _is_name(text: Any) -> bool:
    """Whether it can be written as UTF-8 and is of a size that somebody would choose."""
    if not isinstance(text, str) or len(text) > _MAX_NAME or "\0" in text:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _unreadable(path: Path, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else error
    return InputError(f"cannot read {path}: {reason}.")
