"""Snapshots on disk survive a kill and refuse what is none."""

import json
from pathlib import Path

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.measure.history import History
from umup_diag.measure.recording import Recording
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind


def snapshot(step: int) -> Snapshot:
    histogram = CodeHistogram.of(torch.randn(50) * (step + 1)).coarsen()
    tensors = tuple(
        TensorHistogram(tensor=name, kind=Kind.WEIGHT, order=at, histogram=histogram)
        for at, name in enumerate("ab")
    )
    return Snapshot(step=step, losses=(1.5, float("nan"))[: step and 1], tensors=tensors)


def written(folder: Path) -> History:
    history = History.create(folder, {"every": 10}, {"torch": "x"})
    for step in (0, 10, 20):
        history.append(snapshot(step))
    return history


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    history = written(tmp_path)
    read = History.load(history.path)
    assert read.snapshots == history.snapshots
    assert read.settings == {"every": 10}
    assert read.losses == [1.5, 1.5]
    assert History.is_in(tmp_path)
    assert not History.is_in(tmp_path / "gone")


def test_cut_at_any_byte_the_whole_snapshots_are_there(tmp_path: Path) -> None:
    history = written(tmp_path)
    raw = history.path.read_bytes()
    header = raw.index(b"\n") + 1
    for length in range(header, len(raw), 97):
        history.path.write_bytes(raw[:length])
        kept = History.load(history.path).snapshots
        assert kept == history.snapshots[: len(kept)]
        assert history.path.read_bytes() == raw[:length]  # reading changes nothing
    history.path.write_bytes(raw[:-5])
    again = History.load(history.path, until=10)
    again.append(snapshot(20))
    assert [each.step for each in History.load(history.path).snapshots] == [0, 10, 20]


def test_tensors_and_steps_can_be_chosen(tmp_path: Path) -> None:
    history = written(tmp_path)
    chosen = history.chosen(include=["a*"], until=10)
    assert [(s.step, [t.tensor for t in s.tensors]) for s in chosen] == [(0, ["a"]), (10, ["a"])]
    assert len(history.chosen(exclude=["b"])[0].tensors) == 1
    with pytest.raises(InputError, match="no snapshot of such a tensor"):
        history.chosen(include=["z"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "{}\n",
        "not json\n",
        '{"schema": 1}\n',
        '{"schema": 1, "holds": "snapshots"}\n',
        '{"schema": 1, "holds": "snapshots", "settings": {}, "environment": {}}\n{"tensor": 1}\n',
        '{"schema": 1, "holds": "snapshots", "settings": {}, "environment": {}}\n{"end": 1}\n',
        '{"schema": 1, "holds": "snapshots", "settings": {}, "environment": {}}\n'
        '{"tensor": "a", "kind": "weight", "order": 0, "histogram": {"schema": 1}}\n',
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / History.FILE).write_text(text)
    with pytest.raises(InputError):
        History.load(tmp_path / History.FILE)


def test_the_two_kinds_of_recording_do_not_take_each_other(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(InputError):
        Recording.load(tmp_path / History.FILE)
    Recording.create(tmp_path / "sweep.jsonl", {}, {})
    with pytest.raises(InputError, match="not a recording of a training run"):
        History.load(tmp_path / "sweep.jsonl")


def test_a_typical_tensor_takes_a_few_hundred_bytes(tmp_path: Path) -> None:
    history = History.create(tmp_path, {}, {})
    histogram = CodeHistogram.of(torch.randn(1 << 20))
    row = TensorHistogram(tensor="w", kind=Kind.WEIGHT, order=0, histogram=histogram)
    history.append(Snapshot(step=0, tensors=(row,)))
    line = history.path.read_text().splitlines()[1]
    assert len(line) < 1500
    assert json.loads(line)["tensor"] == "w"
