"""Files by their endings and first bytes: which are read, and what the others are."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

INDEX = ".index.json"
SAFETENSORS = (".safetensors",)
TORCH = (".pt", ".pth", ".bin", ".ckpt")

_FROM = "Give the safetensors or torch checkpoint that it was made from."
_AS_STATE = "Load it where it was made, and torch.save the tensors as a dictionary."
_UNPACKED = "Unpack it first."

#: Ending → what such a file is, and what would do instead.
_OTHERS: Mapping[str, tuple[str, str]] = {
    ".gguf": ("a GGUF file, weights that llama.cpp has quantised", _FROM),
    ".onnx": ("an ONNX graph, no checkpoint", _FROM),
    ".npz": ("an archive of NumPy arrays", _AS_STATE),
    ".npy": ("a NumPy array", _AS_STATE),
    ".h5": ("an HDF5 file, as Keras writes it", _AS_STATE),
    ".keras": ("a model of Keras", _AS_STATE),
    ".msgpack": ("a msgpack file, as Flax writes it", _AS_STATE),
    ".pkl": ("a pickle, and reading it would run what is in it", _AS_STATE),
    ".json": ("JSON, and holds no weights", "Give the weights, or the folder that they are in."),
    ".toml": ("TOML, and holds no weights", "A plan is run by umup-diag gate."),
    ".py": ("a Python module", "A model is checked by umup-diag coordcheck --model."),
    ".gz": ("compressed", _UNPACKED),
    ".zip": ("a zip archive", _UNPACKED),
    ".tar": ("a tar archive", _UNPACKED),
    ".index": ("the index of a TensorFlow checkpoint", _AS_STATE),
}
_SAME = {
    ".pickle": ".pkl",
    ".hdf5": ".h5",
    ".tgz": ".gz",
    ".xz": ".gz",
    ".bz2": ".gz",
    ".zst": ".gz",
}

#: First bytes → the ending of such files.
_MAGIC = {
    b"GGUF": ".gguf",
    b"\x93NUMPY": ".npy",
    b"\x89HDF": ".h5",
    b"\x1f\x8b": ".gz",
    b"\xfd7zXZ": ".gz",
    b"BZh": ".gz",
    b"\x28\xb5\x2f\xfd": ".gz",
}


def is_read(path: Path) -> bool:
    """Whether a file has an ending that is read."""
    return path.name.endswith(INDEX) or path.suffix in (*SAFETENSORS, *TORCH)


def what_it_is(path: Path) -> str:
    """Of a file with no such ending: what it is and what would do, as far as that is certain.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
    by_content = next((end for magic, end in _MAGIC.items() if head.startswith(magic)), None)
    suffix = path.suffix.lower()
    ending = by_content or _SAME.get(suffix, suffix)
    if ending in _OTHERS:
        what, instead = _OTHERS[ending]
        return f"{path} is {what}. {instead}"
    if _is_safetensors(head):
        return f"{path} is a safetensors file by its content; name it *.safetensors."
    if _is_torch(path, head):
        return f"{path} is a file of torch.save by its content; name it *.pt."
    return (
        f"{path} is no checkpoint that can be read here. Those end in "
        f"{', '.join((*SAFETENSORS, *TORCH, INDEX))}; folders of them will do too."
    )


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30


def _is_torch(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
