"""Recordings of training runs: what is no frame is refused, and a tensor takes little room."""

import json
from pathlib import Path

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.scaling.kinds import Kind


def create(folder: Path) -> Recording:
    return Recording.create(folder, command="record", settings={"every": 10}, environment={})


@pytest.mark.parametrize(
    "line",
    [
        '{"tensor": 1}',
        "[]",
        "not json",
        '{"tensor": "a", "kind": "weight", "order": 0}',
        '{"tensor": "a", "kind": "weight", "order": 0, "histogram": {"schema": 1}}',
        '{"tensor": "a", "kind": "weight", "order": 0, "moments": {"rms": "x"}}',
        '{"frame": 1}',
        '{"frame": {"step": 0}}',
        '{"frame": {"point": {}, "step": 0, "losses": ["x"]}}',
    ],
)
def test_what_is_no_record_and_no_frame_is_refused(tmp_path: Path, line: str) -> None:
    recording = create(tmp_path)
    assert recording.path is not None
    with recording.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"recording\.jsonl"):
        Recording.load(tmp_path)


def test_a_typical_tensor_takes_a_few_hundred_bytes(tmp_path: Path) -> None:
    recording = create(tmp_path)
    histogram = CodeHistogram.of(torch.randn(1 << 20))
    record = TensorRecord(tensor="w", kind=Kind.WEIGHT, statistics=histogram)
    recording.append(Frame(step=0, records=(record,)))
    line = (tmp_path / Recording.FILE).read_text().splitlines()[1]
    assert len(line) < 1500
    assert json.loads(line)["tensor"] == "w"


def test_losses_are_those_of_all_frames_in_order(tmp_path: Path) -> None:
    recording = create(tmp_path)
    recording.append(Frame(step=0))
    recording.append(Frame(step=10, losses=(1.5, 1.25)))
    recording.append(Frame(step=12, losses=(1.0,)))
    assert Recording.load(tmp_path).losses == [1.5, 1.25, 1.0]
