"""`umup-diag fp8-range` of runs: watched while they go on, in a plan, and held to recipes."""

import json
import signal
import time
from pathlib import Path

import torch

from tests.cli.command import Forked, run
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.scaling.kinds import Kind

NORMAL = torch.randn(256, generator=torch.Generator().manual_seed(0))


def frame(step: int, size: float) -> Frame:
    histogram = CodeHistogram.of(NORMAL * size)
    return Frame(
        step=step, records=(TensorRecord(tensor="w", kind=Kind.WEIGHT, statistics=histogram),)
    )


def wait_for(line: str, watching: Forked) -> None:
    end = time.monotonic() + 120
    while not (watching.err.exists() and line in watching.err.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_lines_come_as_frames_do_and_ctrl_c_judges_what_is_there(tmp_path: Path) -> None:
    recording = Recording.create(
        tmp_path / "run", command="record", settings={}, environment={"torch": "x"}
    )
    recording.append(frame(0, 1.0))
    watching = Forked.start(tmp_path, "fp8-range", "run", "--watch", "--out", "out")
    try:
        wait_for("watching run", watching)
        recording.append(frame(10, 100.0))
        wait_for("step 10: w (weight) near max", watching)
        recording.append(frame(20, 1000.0))
        wait_for("step 20: w (weight) overflow", watching)
        assert watching.is_running()
    finally:
        said = watching.end(signal.SIGINT)
    assert said.count("near max") == 1
    assert "Traceback" not in said
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["verdict"] == "FAIL"
    assert [step for step, _, _ in result["findings"][0]["points"]] == [0, 10, 20]


def test_only_one_recording_can_be_watched(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(4, 4)}, tmp_path / "x.pt")
    done = run(tmp_path, "fp8-range", "x.pt", "--watch")
    assert (done.exit_code, "--watch follows one recording" in done.err) == (2, True)


def test_a_plan_may_name_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    for name, size in (("small", 1.0), ("large", 1000.0)):
        torch.save({"w": NORMAL.reshape(16, 16) * size}, tmp_path / f"{name}.pt")
        plan = f'check = "fp8-range"\ncheckpoint = "{name}.pt"\nrecipe = "workshop,absmax"\n'
        (tmp_path / "checks" / f"{name}.toml").write_text(plan)
    assert run(tmp_path, "gate", "checks/small.toml").exit_code == 0
    assert run(tmp_path, "gate", "checks/large.toml").exit_code == 1
    result = json.loads((tmp_path / "reports" / "large" / "result.json").read_text())
    assert [finding["recipe"] for finding in result["findings"]] == ["workshop"]
    recorded = Recording.load(tmp_path / "reports" / "large")
    assert [record.tensor for _, record in recorded] == ["w"]


def test_recording_with_blocks_can_be_held_to_block_recipes(tmp_path: Path) -> None:
    words = "--width 64 --steps 2 --every 1 --batch-size 1 --seq-len 16 --device cpu --out run"
    plain = run(tmp_path, "record", *words.split())
    blocks = run(tmp_path, "record", *words.split(), "--blocks", "mxfp8,nvfp4", "--out", "blocks")
    assert (plain.exit_code, blocks.exit_code) == (0, 0)
    recipes = ("--recipe", "mxfp8,nvfp4,workshop", "--out", "out")
    refused = run(tmp_path, "fp8-range", "run", *recipes)
    assert (refused.exit_code, "Record with --blocks mxfp8" in refused.err) == (2, True)
    judged = run(tmp_path, "fp8-range", "blocks", *recipes)
    assert judged.exit_code in (0, 1)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    recipes_of = {
        tuple(each["recipe"] for each in (finding, *finding["other_formats"]))
        for finding in result["findings"]
    }
    assert recipes_of == {("mxfp8", "nvfp4", "workshop")}
    assert all(finding["blocks"]["count"] > 0 for finding in result["findings"])
    wrong = run(tmp_path, "record", *words.split(), "--blocks", "mxfp9")
    assert (wrong.exit_code, "no block format" in wrong.err) == (2, True)
