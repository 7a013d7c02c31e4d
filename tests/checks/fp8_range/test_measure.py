"""What each kind of settings measures, and what measuring says of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import reference_model
import umup_diag
from umup_diag.checks.fp8_range.measure import measure
from umup_diag.checks.fp8_range.settings import FileRangeSettings, RunRangeSettings
from umup_diag.checks.fp8_range.watcher import Watcher
from umup_diag.checks.result import NoteKind
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.scaling.kinds import Kind


def files(here: Path, *names: str, **settings: Any) -> Recording:
    sources = tuple(here / name for name in names)
    chosen = FileRangeSettings(sources=sources, device="cpu", **settings)
    return measure(chosen, Workplace(out=here / "out"))


def save(path: Path, scale: float = 1.0) -> None:
    torch.save({"a": torch.ones(8, 8) * scale, "b": torch.ones(4, 4), "norm": torch.ones(3)}, path)


def tensors(recording: Recording) -> list[tuple[int | None, list[str]]]:
    return [(frame.step, [r.tensor for r in frame.records]) for frame in recording.frames]


def test_checkpoints_are_frames_in_the_order_of_steps(tmp_path: Path) -> None:
    save(tmp_path / "step-20.pt", 2.0)
    save(tmp_path / "step-3.pt")
    recording = files(tmp_path, "step-20.pt", "step-3.pt", formats="mxfp8", seed=7)
    assert tensors(recording) == [(3, ["a", "b"]), (20, ["a", "b"])]
    assert [frame.records[0].rms for frame in recording.frames] == [1.0, 2.0]
    assert recording.frames[0].records[0].blocks.keys() == {"MXFP8_E4M3"}
    text = "Not judged: 1 tensor of fewer than two dimensions, which no matmul casts."
    assert recording.notes == ((NoteKind.NOT_JUDGED, text),)
    assert recording.settings == {
        "sources": [str(tmp_path / name) for name in ("step-20.pt", "step-3.pt")]
    }
    assert recording.environment["seed"] == 7
    written = Recording.load(tmp_path / "out")
    assert tensors(written) == tensors(recording)
    casts = written.frames[0].records[0].blocks["MXFP8_E4M3"]
    assert casts.noise == recording.frames[0].records[0].blocks["MXFP8_E4M3"].noise


def test_tensors_and_steps_can_be_selected(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path / f"step-{step}.pt")
    names = [f"step-{step}.pt" for step in (1, 2, 3)]
    recording = files(tmp_path, *names, include=("a", "norm"), exclude=("a",), until=2)
    assert tensors(recording) == [(1, ["norm"]), (2, ["norm"])]


def test_gains_and_biases_of_a_run_are_judged_where_they_are_named(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 4))
    optimizer = torch.optim.SGD(model.parameters())
    logged: dict[str, float] = {}
    sink = SimpleNamespace(log=lambda values, _: logged.update(values))
    with umup_diag.record(model, every=1, to=tmp_path / "run", sinks=[sink], strict=True):
        model(torch.randn(3, 8)).sum().backward()
        optimizer.step()
    assert tensors(files(tmp_path, "run")) == [(0, ["1", "1", "1"])]
    named = files(tmp_path, "run", include=("0.weight", "*.bias"))
    assert tensors(named) == [(0, ["0.bias", "0.weight", "1.bias"])]
    assert named.frames[0].records[1].rms == 1.0
    assert {name.split("/")[0] for name in logged} == {"1"}
    watcher = Watcher(settings=FileRangeSettings(sources=(), near=20))
    assert {warning.tensor for warning in watcher.see(named.frames[0])} == set()
    watcher = Watcher(settings=FileRangeSettings(sources=(), near=20, include=("0.weight",)))
    assert {warning.tensor for warning in watcher.see(named.frames[0])} == {"0.weight"}


def test_each_checkpoint_tells_its_progress(tmp_path: Path) -> None:
    save(tmp_path / "x.pt")
    steps: list[tuple[str, int, int]] = []
    settings = FileRangeSettings(sources=(tmp_path / "x.pt",), device="cpu")
    measure(settings, Workplace(out=tmp_path, progress=lambda *step: steps.append(step)))
    assert steps == [(str(tmp_path / "x.pt"), done, 2) for done in (0, 1, 2)]


def test_a_checkpoint_is_run_in_its_model(tmp_path: Path) -> None:
    torch.save(reference_model.umup.build(64).state_dict(), tmp_path / "x.pt")
    recording = files(
        tmp_path,
        "x.pt",
        model="reference_model:umup",
        batches=1,
        batch_size=1,
        seq_len=16,
        include=("head",),
    )
    (frame,) = recording.frames
    assert {record.kind for record in frame.records} == {
        Kind.INPUT,
        Kind.WEIGHT,
        Kind.GRAD_OUTPUT,
    }
    text = (
        "Inputs and gradients are of 1 batches through reference_model:umup at width 64, without "
        "updates."
    )
    assert recording.notes == ((NoteKind.REMARK, text),)


def test_a_run_is_recorded_in_the_workplace_and_then_found_there(tmp_path: Path) -> None:
    run: dict[str, Any] = {"width": 64, "steps": 2, "every": 1, "batch_size": 1, "seq_len": 16}
    settings = RunRangeSettings(**run, device="cpu", until=1, exclude=("head",))
    recording = measure(settings, Workplace(out=tmp_path / "run"))
    assert [frame.step for frame in recording.frames] == [0, 1]
    assert "head" not in {record.tensor for _, record in recording}
    assert recording.settings == Recording.load(tmp_path / "run").settings
    assert {"model", "width", "lr", "fp8"} <= recording.settings.keys()
    assert not {"near", "until"} & recording.settings.keys()
    again = files(tmp_path, "run", until=1, exclude=("head",))
    assert again.frames == recording.frames
    assert again.settings == {"sources": [str(tmp_path / "run")]}
    with pytest.raises(InputError, match="no snapshot of such a tensor"):
        files(tmp_path, "run", include=("nothing",))


def test_a_recording_of_something_else_is_refused(tmp_path: Path) -> None:
    recording = Recording.create(tmp_path, command="coordcheck", settings={}, environment={})
    moments = Moments(count=1, rms=1.0)
    recording.append(Frame(records=(TensorRecord(tensor="a", kind="weight", statistics=moments),)))
    with pytest.raises(InputError, match=r"of a training run, but of .* coordcheck"):
        files(tmp_path.parent, tmp_path.name)


def test_an_unknown_format_is_refused_before_any_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown format"):
        measure(RunRangeSettings(formats="e9m9"), Workplace(out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
