"""What trackers hold is what was recorded: TensorBoard, W&B, MLflow and JSON lines read back."""

import json
import math
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import umup_diag
from umup_diag.integrations.sinks import JSONLines, MLflow, TensorBoard, WandB
from umup_diag.numerics import formats
from umup_diag.recording import Recording
from umup_diag.recording.sink import Sink

Rows = dict[int, dict[str, float]]  #: step → name → value


class Net(nn.Module):
    """Names that look like a model's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 16), nn.Linear(16, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers[1](self.layers[0](x))
        return out


def train(to: Path, *sinks: Sink) -> Recording:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with umup_diag.record(net, every=2, to=to, sinks=sinks):
        for _ in range(4):
            net(torch.randn(4, 8)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return Recording.load(to)


def expected(recording: Recording) -> Rows:
    """From the recording on disk, by other means than the sinks'."""
    rows: Rows = {}
    for row in recording.frame().to_dict("records"):
        if row["tensor"].endswith(".bias"):  # of vectors they get nothing
            continue
        at = rows.setdefault(int(row["step"]), {})
        at[f"{row['tensor']}/{row['kind']}/rms_log2"] = math.log2(row["rms"])
        at[f"{row['tensor']}/{row['kind']}/absmax_log2"] = math.log2(row["absmax"])
        at[f"{row['tensor']}/{row['kind']}/nonfinite_count"] = 0.0
    for frame, record in recording:
        if record.tensor.endswith(".bias"):
            continue
        fmt = formats.E5M2 if record.kind == "grad_output" else formats.E4M3FN
        assert frame.step is not None
        for name in ("underflow_fraction", "overflow_fraction"):
            share = getattr(record.histogram, name)(fmt)
            rows[frame.step][f"{record.tensor}/{record.kind}/{name}_{fmt.name.lower()}"] = share
    return rows


def leveldb_records(content: bytes) -> Iterator[bytes]:
    """What a W&B file holds: LevelDB's log format, after a header of 7 bytes."""
    block, at, parts = 1 << 15, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # no room for another header in this block
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield parts
            parts = b""


def finished(path: Path) -> list[Any]:
    """The records of a W&B run; another process writes them, and goes on when the run is over."""
    from wandb.proto.wandb_internal_pb2 import Record

    end = time.monotonic() + 60
    while time.monotonic() < end:
        records = [Record.FromString(each) for each in leveldb_records(path.read_bytes())]
        if records and records[-1].HasField("exit"):
            return records
        time.sleep(0.1)
    raise AssertionError(f"W&B left {path} unfinished")


def test_json_lines(tmp_path: Path) -> None:
    recording = train(tmp_path / "run", JSONLines(tmp_path / "log" / "values.jsonl"))
    written = map(json.loads, (tmp_path / "log" / "values.jsonl").read_text().splitlines())
    rows = {row.pop("step"): row for row in written}
    assert rows == expected(recording)
    assert "layers.0/input/rms_log2" in rows[0]
    assert list(rows) == [0, 2]


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recording = train(tmp_path / "run", TensorBoard(tmp_path / "events"))
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    rows: Rows = {}
    for name in events.Tags()["scalars"]:
        for scalar in events.Scalars(name):
            rows.setdefault(scalar.step, {})[name] = scalar.value
    assert rows.keys() == expected(recording).keys()
    for step, row in expected(recording).items():
        assert rows[step] == pytest.approx(row, rel=2.0**-23)  # it keeps float32


@pytest.mark.filterwarnings("ignore:::wandb")
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(mode="offline", dir=tmp_path, project="p")
    run.log({"loss": 1.0}, step=7)  # a trainer that counts further than we do
    recording = train(tmp_path / "run", WandB())
    run.finish()
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    rows: Rows = {}
    axes = {}
    for record in finished(path):
        items = {
            "/".join(item.nested_key) or item.key: json.loads(item.value_json)
            for item in record.history.item
        }
        if WandB.STEP in items:
            rows[int(items[WandB.STEP])] = items
        if record.metric.name:
            axes[record.metric.name] = record.metric.step_metric
    for step, row in expected(recording).items():
        assert {name: rows[step][name] for name in row} == row
        assert all(axes[name] == WandB.STEP for name in row)


@pytest.mark.filterwarnings("ignore:::mlflow", "ignore:::opentelemetry", "ignore:::pydantic")
def test_mlflow_file_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    store = (tmp_path / "store").as_uri()
    client = mlflow.MlflowClient(store)
    run = client.create_run(client.create_experiment("e")).info.run_id
    recording = train(tmp_path / "run", MLflow(run, tracking_uri=store))
    rows: Rows = {}
    for name in client.get_run(run).data.metrics:
        for metric in client.get_metric_history(run, name):
            rows.setdefault(metric.step, {})[name] = metric.value
    assert rows == expected(recording)


def test_a_sink_that_fails_is_left_out_and_training_goes_on(tmp_path: Path) -> None:
    class Broken:
        calls = 0

        def log(self, values: Mapping[str, float], step: int) -> None:
            self.calls += 1
            raise ConnectionError("no route to host")

    broken, lines = Broken(), JSONLines(tmp_path / "values.jsonl")
    with pytest.warns(UserWarning, match="Broken takes no more values from step 0") as said:
        train(tmp_path / "run", broken, lines)
    assert (broken.calls, len(said)) == (1, 1)
    assert len((tmp_path / "values.jsonl").read_text().splitlines()) == 2


def test_what_has_no_logarithm_is_left_out(tmp_path: Path) -> None:
    net = nn.Linear(4, 2, bias=False)
    nn.init.zeros_(net.weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    path = tmp_path / "values.jsonl"
    with umup_diag.record(net, every=1, to=tmp_path / "run", sinks=[JSONLines(path)]):
        net(torch.randn(4, 4)).sum().backward()
        optimizer.step()
    row = json.loads(path.read_text())
    assert "weight/input/rms_log2" in row
    assert "weight/weight/rms_log2" not in row
    assert row["weight/weight/nonfinite_count"] == 0.0
