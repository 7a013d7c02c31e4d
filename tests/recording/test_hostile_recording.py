"""Recordings that were damaged or made to harm: refused in a line, at once, in little memory."""

import json
import tracemalloc
from base64 import b64encode
from pathlib import Path
from typing import Any
from zlib import compress

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.scaling.kinds import Kind


@pytest.fixture
def lines(tmp_path: Path) -> list[Any]:
    """A small recording: its header, a record with a histogram, and its frame."""
    recording = Recording.create(tmp_path, command="record", settings={}, environment={})
    record = TensorRecord(
        tensor="w", kind=Kind.WEIGHT, statistics=CodeHistogram.of(torch.randn(8, 8)), order=0
    )
    recording.append(Frame(step=0, losses=(1.0,), records=(record,)))
    assert Recording.load(tmp_path).frames
    return [json.loads(line) for line in (tmp_path / Recording.FILE).read_text().splitlines()]


def refuse(folder: Path, lines: list[Any], message: str) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
    (folder / Recording.FILE).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Recording.load(folder)
    assert str(caught.value).count("\n") <= 1


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2**63, -(2**70), "x", None, [1]])
@pytest.mark.parametrize("key", ["order", "bins", "nan", "mantissa_bits", "losses", "step"])
def test_a_number_that_is_none(tmp_path: Path, lines: list[Any], key: str, value: Any) -> None:
    if (key, value) == ("step", None):
        return  # nobody knows the step: that is a value
    _, record, frame = lines
    if key in record["histogram"]:
        record["histogram"][key] = value
    elif key == "losses":
        frame["frame"][key] = [value]
    else:
        (record if key == "order" else frame["frame"])[key] = value
    refuse(tmp_path, lines, "recording")


@pytest.mark.parametrize("digits", ["1e999", "9" * 4400, "9" * 100_000])
def test_numbers_beyond_any_type(tmp_path: Path, lines: list[Any], digits: str) -> None:
    lines[2] = json.dumps(lines[2]).replace('"step": 0', f'"step": {digits}')
    assert digits in lines[2]
    refuse(tmp_path, lines, "is not a recording of umup-diag")


@pytest.mark.parametrize("squares", [["1", 10**12], ["f" * 10**6, 0], ["1", -1], ["-1", 0]])
def test_a_sum_of_squares_of_any_size(tmp_path: Path, lines: list[Any], squares: Any) -> None:
    lines[1]["histogram"]["squares"] = squares
    refuse(tmp_path, lines, "sum of squares")


def test_a_bomb_in_one_histogram(tmp_path: Path, lines: list[Any]) -> None:
    bomb = b64encode(compress(bytes(1 << 28), 9)).decode()  # a quarter of a gibibyte of zeros
    lines[1]["histogram"]["codes"] = bomb
    tracemalloc.start()
    refuse(tmp_path, lines, "not a histogram")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_many_histograms_that_are_too_dense(tmp_path: Path, lines: list[Any]) -> None:
    bins = 1 << 16
    histogram = {
        **lines[1]["histogram"],
        "bins": bins,
        "codes": b64encode(compress(b"\1" * bins + bytes(3 * bins), 9)).decode(),
        "counts": b64encode(compress(b"\1" * bins + bytes(7 * bins), 9)).decode(),
    }
    dense = json.dumps({**lines[1], "histogram": histogram})
    assert len(dense) < 4000
    tracemalloc.start()
    refuse(tmp_path, [lines[0], *[dense] * 2000], "unpack to far more")
    assert tracemalloc.get_traced_memory()[1] < 2e8  # 1.5 GiB without the limit
    tracemalloc.stop()


def test_empty_bins_and_bins_out_of_order(tmp_path: Path, lines: list[Any]) -> None:
    histogram = lines[1]["histogram"]
    bins = histogram["bins"]
    zeros = b64encode(compress(bytes(8 * bins), 9)).decode()
    refuse(tmp_path, [lines[0], {**lines[1], "histogram": histogram | {"counts": zeros}}], "bin")
