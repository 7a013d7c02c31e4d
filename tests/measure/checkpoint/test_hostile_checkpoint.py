"""Damaged and hostile files: one clear error each, nothing executed, nothing endless."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from tests.planted import SAVERS, tensors
from umup_diag.errors import InputError
from umup_diag.measure.checkpoint.checkpoint import select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan

SMALL = {"a.weight": torch.randn(24, 24), "b.weight": torch.randn(24, 24)}


def read(path: Path) -> None:
    scan(select(open_checkpoint(path)).tensors)


def refuse(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(caught.value).count("\n") <= 1


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(os.environ["BOMB"]),)


@pytest.fixture
def fuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists once the bomb has gone off."""
    path = tmp_path / "went-off"
    monkeypatch.setenv("BOMB", str(path))
    return path


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_malicious_pickle_is_not_run(tmp_path: Path, fuse: Path, is_zip: bool) -> None:
    file = tmp_path / "x.pt"
    torch.save({"w": _Bomb()}, file, _use_new_zipfile_serialization=is_zip)
    refuse(file, "would run code")
    assert not fuse.exists()
    torch.load(file, weights_only=False)  # the bomb is a live one
    assert fuse.exists()


def test_malicious_metadata_is_not_run(tmp_path: Path, fuse: Path) -> None:
    (tmp_path / "dcp").mkdir()
    metadata = tmp_path / "dcp" / ".metadata"
    metadata.write_bytes(pickle.dumps(_Bomb()))
    refuse(tmp_path / "dcp", "would run code")
    assert not fuse.exists()
    pickle.loads(metadata.read_bytes())
    assert fuse.exists()


@pytest.mark.parametrize("saver", SAVERS)
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, saver: str) -> None:
    path = SAVERS[saver](tmp_path, SMALL)
    files = [path] if path.is_file() else [p for p in path.iterdir() if p.is_file()]
    file = max(files, key=lambda each: each.stat().st_size)
    whole = file.read_bytes()
    read(path)
    for length in range(0, len(whole), 1024):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read(path)


def _header(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _one(**fields: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **fields}}


TWO = {
    "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
    "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]},
}

SAFETENSORS = {
    "empty": (b"", "is empty"),
    "seven bytes": (b"1234567", "too few"),
    "length 2^63": (struct.pack("<Q", 1 << 63) + b"{}", "header of 9223372036854775808 bytes"),
    "longer than the file": (struct.pack("<Q", 100) + b"{}", "header of 100 bytes"),
    "no JSON": (_header(b"{not json"), "not JSON"),
    "no UTF-8": (_header(b'{"\xff": 1}'), "not JSON"),
    "deep JSON": (_header(b"[" * 200_000), "not JSON"),
    "long number": (_header(b"9" * 100_000), "not JSON"),
    "a list": (_header([]), "not a JSON object"),
    "overlap": (_header(TWO, b"123456"), "overlaps"),
    "hole": (_header(_one(data_offsets=[4, 12]), b"x" * 12), "leaves a hole"),
    "out of range": (_header(_one(data_offsets=[0, 8]), b"1234"), "promises 8 bytes"),
    "bytes left over": (_header(_one(), b"x" * 9), "promises 8 bytes"),
    "backwards": (_header(_one(data_offsets=[8, 0]), b"x" * 8), "does not fill"),
    "negative": (_header(_one(shape=[-2]), b"x" * 8), r"shape \[-2\]"),
    "fraction": (_header(_one(shape=[2.0]), b"x" * 8), "shape"),
    "true": (_header(_one(shape=[2, True]), b"x" * 8), "shape"),
    "three offsets": (_header(_one(data_offsets=[0, 8, 8]), b"x" * 8), "offsets"),
    "overflowing shape": (_header(_one(shape=[2**62, 2**62, 4]), b"x" * 8), "does not fill"),
    "huge number": (_header(_one(shape=[2**70]), b"x" * 8), "shape"),
    "unknown dtype": (_header(_one(dtype="F7"), b"x" * 8), "unknown dtype 'F7'"),
    "wrong dtype": (_header(_one(dtype="BF16"), b"x" * 8), "does not fill"),
    "dtype is a list": (_header(_one(dtype=["F32"]), b"x" * 8), "unknown dtype"),
    "no fields": (_header({"w": {}}), "lacks"),
    "field is text": (_header({"w": "F32"}), "lacks"),
    "duplicate name": (
        _header(b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{}}', b"1"),
        "'w' is there twice",
    ),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_safetensors_file_that_is_not_what_it_says(tmp_path: Path, case: str) -> None:
    raw, message = SAFETENSORS[case]
    file = tmp_path / "x.safetensors"
    file.write_bytes(raw)
    refuse(file, message)


def test_the_same_file_without_a_fault_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(save(SMALL))
    read(tmp_path / "x.safetensors")
    two_dimensional = _header(_one(shape=[2, 1]), b"x" * 8)
    (tmp_path / "x.safetensors").write_bytes(two_dimensional)
    read(tmp_path / "x.safetensors")


def _index(folder: Path, text: str) -> Path:
    (folder / "model.safetensors").write_bytes(save(SMALL))
    (folder / "model.safetensors.index.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"weight_map": {"a.weight": "gone.safetensors"}}', "No such file"),
        (
            '{"weight_map": {"a.weight": "model.safetensors", "a.weight": "x.safetensors"}}',
            "twice",
        ),
        ('{"weight_map": {"c.weight": "model.safetensors"}}', "does not have it"),
        ('{"weight_map": {"a.weight": "../model.safetensors"}}', "outside its folder"),
        ('{"weight_map": {"a.weight": "/etc/passwd"}}', "outside its folder"),
        ('{"weight_map": {"a.weight": "a\\u0000b"}}', "outside its folder"),
        ('{"weight_map": {"a.weight": 7}}', "no weight_map"),
        ('{"weight_map": {}}', "no weight_map"),
        ("[]", "no weight_map"),
        ("{", "not an index"),
    ],
)
def test_an_index_that_does_not_hold(tmp_path: Path, text: str, message: str) -> None:
    refuse(_index(tmp_path, text), message)


def test_two_files_with_one_tensor_and_no_index(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(save(SMALL))
    refuse(tmp_path, "is in two files")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    refuse(tmp_path, "holds no checkpoint")
    refuse(tmp_path / "gone", "No such file")
    (tmp_path / "text.txt").write_text("hello")
    refuse(tmp_path / "text.txt", "no checkpoint that can be read here")
    loop = tmp_path / "loop.safetensors"
    loop.symlink_to(loop)
    refuse(loop, "symbolic links")
    os.mkfifo(tmp_path / "pipe.safetensors")
    refuse(tmp_path / "pipe.safetensors", "is not a file")
    (tmp_path / "device.pt").symlink_to("/dev/zero")
    refuse(tmp_path / "device.pt", "is not a file")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(save(SMALL))

    def refused(self: Path, *args: Any, **kwargs: Any) -> None:  # root may read anything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    refuse(file, "Permission denied")


def _rezipped(file: Path, **changes: Any) -> None:
    """Write a zip archive again, otherwise."""
    with zipfile.ZipFile(file) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(file, "w", changes.get("compression", zipfile.ZIP_STORED)) as new:
        for name, content in members:
            new.writestr(name, changes.get(name.rpartition("/")[2], content))


def test_a_compressed_archive_is_refused_before_it_grows(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1000, 1000)}, tmp_path / "x.pt")
    _rezipped(tmp_path / "x.pt", compression=zipfile.ZIP_DEFLATED)
    refuse(tmp_path / "x.pt", "compressed")


def test_a_tensor_that_claims_more_than_the_file_has(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    torch.save({"w": torch.zeros(100, 100)}, file)
    with zipfile.ZipFile(file) as archive:
        pickled = archive.read("x/data.pkl")
    assert pickled.count(b"KdKd\x86") == 1  # its shape, 100 × 100
    _rezipped(file, **{"data.pkl": pickled.replace(b"KdKd\x86", b"M\xff\xffKd\x86")})
    refuse(file, "damaged|claims")


def test_a_shared_container_does_not_multiply(tmp_path: Path) -> None:
    value: Any = [torch.ones(2, 2)]
    for _ in range(60):
        value = [value, value]
    torch.save({"w": value}, tmp_path / "x.pt")
    read(tmp_path / "x.pt")


def test_what_is_no_checkpoint_says_what_to_save(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    refuse(tmp_path / "module.pt", "torch.nn.modules.linear.Linear.*would run code")
    torch.save({"step": 3}, tmp_path / "none.pt")
    refuse(tmp_path / "none.pt", "holds no tensors")
    (tmp_path / "x.pt").write_bytes(b"hello, this is no checkpoint at all" * 10)
    refuse(tmp_path / "x.pt", "damaged, or not a file of torch.save")
    torch.save({"w": torch.eye(3).to_sparse()}, tmp_path / "sparse.pt")
    refuse(tmp_path / "sparse.pt", "not dense")


def test_a_program_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2, 2)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as archive:
        archive.writestr("x/constants.pkl", b"")
    refuse(tmp_path / "x.pt", "TorchScript")


def test_metadata_that_points_elsewhere(tmp_path: Path) -> None:
    folder = SAVERS["distributed"](tmp_path, tensors(torch.bfloat16))
    metadata = folder / ".metadata"
    whole = metadata.read_bytes()
    (shard,) = folder.glob("*.distcp")
    assert whole.count(b"__0_0.distcp") == 1
    metadata.write_bytes(whole.replace(b"__0_0.distcp", b"../0_0.distc"))
    refuse(folder, "points outside the folder")
    metadata.write_bytes(whole)
    shard.rename(folder / "gone")
    refuse(folder, "No such file")


def test_metadata_whose_dtype_is_none(tmp_path: Path) -> None:
    folder = SAVERS["distributed"](tmp_path, {"w": torch.ones(2, 2)})
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    metadata.state_dict_metadata["w"].properties.dtype = (1, 2)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    refuse(folder, "has a tuple for a dtype")


def test_a_pickle_that_asks_for_memory_gets_none(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    put_far = b"\x80\x04]r\xff\xff\xff\x7f."  # memo slot 2**31 − 1: C would make room for all
    (tmp_path / "d" / ".metadata").write_bytes(put_far)
    refuse(tmp_path / "d", "holds a list")
    long = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"."
    (tmp_path / "d" / ".metadata").write_bytes(long)
    with pytest.raises(InputError):
        read(tmp_path / "d")


def test_bytes_as_a_file() -> None:
    from umup_diag.measure.checkpoint.distributed_folder import _Bytes

    with io.BufferedReader(_Bytes(torch.arange(100, dtype=torch.uint8))) as file:
        assert file.read(3) == b"\0\1\2"
        assert file.seek(-1, io.SEEK_END) == 99
        assert file.read() == b"c"
        assert file.read() == b""
        with pytest.raises(OSError, match="cannot seek"):
            file.seek(-200, io.SEEK_END)


def test_a_header_with_more_dimensions_than_torch_has(tmp_path: Path) -> None:
    many = [2**62] * 400_000
    (tmp_path / "x.safetensors").write_bytes(_header(_one(shape=many), b"x" * 8))
    refuse(tmp_path / "x.safetensors", "has 400000 dimensions, more than torch can")


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "x" * 5000])
def test_names_that_no_text_can_hold(tmp_path: Path, name: str) -> None:
    entry = {name: {"dtype": "U8", "shape": [2, 4], "data_offsets": [0, 8]}}
    (tmp_path / "x.safetensors").write_bytes(_header(entry, b"x" * 8))
    refuse(tmp_path / "x.safetensors", "whose name no text can hold")
    index = json.dumps({"weight_map": {"a.weight": name}})
    (tmp_path / "folder").mkdir()
    refuse(_index(tmp_path / "folder", index), "outside its folder")


#: A tuple of itself twice, 60 times over: 2^60 leaves for whoever visits each.
_SHARED = b"K\x00" + b"2\x86" * 60


def test_metadata_with_a_key_of_endless_parts(tmp_path: Path) -> None:
    for number, raw in enumerate(
        (
            b"\x80\x04}" + _SHARED + b"K\x00s.",
            b"\x80\x04}(" + _SHARED + b"K\x00u.",
            b"\x80\x04(" + _SHARED + b"K\x00d.",
            b"\x80\x04\x8f(" + _SHARED + b"\x90.",
            b"\x80\x04(" + _SHARED + b"\x91.",
            b"\x80\x04ccollections\nOrderedDict\n]" + _SHARED + b"K\x00\x86a\x85R.",
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / ".metadata").write_bytes(raw)
        with pytest.raises(InputError):
            read(folder)


def test_metadata_whose_values_have_endless_parts(tmp_path: Path) -> None:
    folder = SAVERS["distributed"](tmp_path, {"w": torch.ones(2, 2)})
    endless: Any = 0
    for _ in range(60):
        endless = (endless, endless)
    whole = (folder / ".metadata").read_bytes()
    for name in ("dtype", "size", "chunks", "offset", "transform_descriptors"):
        metadata = pickle.loads(whole)
        tensor, stored = metadata.state_dict_metadata["w"], [*metadata.storage_data.values()][-1]
        owner = next(each for each in (stored, tensor.properties, tensor) if hasattr(each, name))
        setattr(owner, name, endless)
        (folder / ".metadata").write_bytes(pickle.dumps(metadata))
        with pytest.raises(InputError) as caught:
            read(folder)
        assert str(caught.value).count("\n") <= 1


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_of_torch_with_a_key_of_endless_parts(tmp_path: Path, is_zip: bool) -> None:
    file = tmp_path / "x.pt"
    torch.save({"w": torch.ones(2, 2)}, file, _use_new_zipfile_serialization=is_zip)
    read(file)
    endless = b"\x80\x02}" + _SHARED + b"K\x00s."
    if is_zip:
        _rezipped(file, **{"data.pkl": endless})
    else:
        raw = file.read_bytes()
        begin = [at for at in range(len(raw)) if raw.startswith(b"\x80\x02", at)][3]
        file.write_bytes(raw[:begin] + endless)
    refuse(file, "has a key that is not plain")
