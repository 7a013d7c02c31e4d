"""Files that are no checkpoints: what they are, and advice to rename only where it is certain."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from umup_diag.measure.checkpoint.endings import what_it_is

FILES = {
    "w.gguf": (b"GGUF\3\0\0\0", "is a GGUF file"),
    "w.bin.q4": (b"GGUF\3\0\0\0", "is a GGUF file"),  # by its content
    "w.onnx": (b"\x08\x07\x12\x07", "is an ONNX graph"),
    "w.npz": (b"PK\3\4", "is an archive of NumPy arrays"),
    "w.npy": (b"\x93NUMPY", "is a NumPy array"),
    "w.tar.gz": (b"\x1f\x8b\x08", "is compressed. Unpack it first"),
    "config.json": (b"{}", "is JSON, and holds no weights"),
    "w.pickle": (b"\x80\x04", "is a pickle, and reading it would run what is in it"),
    "w.h5": (b"\x89HDF", "is an HDF5 file"),
    "w.txt": (b"hello", "is no checkpoint that can be read here"),
    "w": (b"", "is no checkpoint that can be read here"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_it_is(tmp_path: Path, name: str) -> None:
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    said = what_it_is(tmp_path / name)
    assert message in said
    assert "name it" not in said
    assert "delete" not in said


def test_a_checkpoint_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(save({"w": torch.ones(2, 2)}))
    assert what_it_is(tmp_path / "weights").endswith("name it *.safetensors.")
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "model.weights")
    assert what_it_is(tmp_path / "model.weights").endswith("name it *.pt.")
