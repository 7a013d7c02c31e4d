"""``umup-diag fp8-range`` and ``record`` from the command line: exit codes, files, messages."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import reference_model
from tests.planted import PLANTED, SAVERS, tensors
from umup_diag.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["umup-diag", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def judge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, dict[str, Any]]:
    code = run(monkeypatch, "fp8-range", *words, "--json", "--device", "cpu")
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, result


@pytest.mark.parametrize("saver", SAVERS)
def test_a_checkpoint_of_every_format(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    saver: str,
) -> None:
    path = SAVERS[saver](tmp_path, tensors(torch.bfloat16))
    code, result = judge(monkeypatch, capsys, path, "--out", tmp_path / "out")
    assert code == 1
    assert {f["tensor"]: f["flag"] for f in result["findings"]} == {
        name: planted.flag for name, planted in PLANTED.items()
    }
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == result
    assert (tmp_path / "out" / "spans.png").exists()
    assert (tmp_path / "out" / "report.html").exists()


def test_a_finding_has_the_fields_that_were_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"w": torch.randn(64, 64)}, tmp_path / "x.pt")
    code, result = judge(monkeypatch, capsys, tmp_path / "x.pt", "--out", tmp_path / "out")
    assert code == 0
    promised = (
        "tensor kind format count rms absmax underflow_fraction subnormal_fraction "
        "overflow_fraction headroom_high headroom_low sqnr_db verdict flag"
    )
    assert set(promised.split()) <= result["findings"][0].keys()
    assert result["schema"] == 1
    assert result["command"] == "fp8-range"


def test_the_same_file_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"w": torch.randn(64, 64)}, tmp_path / "x.pt")
    written = []
    for _ in range(2):
        run(monkeypatch, "fp8-range", tmp_path / "x.pt", "--out", tmp_path / "out", "-q")
        written.append((tmp_path / "out" / "result.json").read_bytes())
    assert written[0] == written[1]


def test_a_trend_over_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = torch.randn(64, 64)
    paths = []
    for number in (1, 2, 3, 4):
        paths.append(tmp_path / f"step-{number}000.pt")
        torch.save({"w": whole * 2.0**number}, paths[-1])
    code, result = judge(monkeypatch, capsys, *reversed(paths), "--out", tmp_path / "out")
    (finding,) = result["findings"]
    assert code == 0
    assert [point[0] for point in finding["points"]] == [1000, 2000, 3000, 4000]
    assert finding["forecasts"][0]["growth"] == pytest.approx(1.0)
    strict, _ = judge(monkeypatch, capsys, *paths, "--strict", "--out", tmp_path / "out")
    assert strict == 1


def test_block_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"w": torch.randn(64, 64) * 1e-6}, tmp_path / "x.pt")
    words = (tmp_path / "x.pt", "--formats", "mxfp8,e4m3fn,e5m2", "--out", tmp_path / "out")
    code, result = judge(monkeypatch, capsys, *words)
    (finding,) = result["findings"]
    assert (code, finding["format"], finding["flag"]) == (0, "MXFP8_E4M3", "ok")
    assert [each["flag"] for each in finding["other_formats"]] == ["underflow", "underflow"]


@pytest.mark.parametrize("given", [["--width", "64"], []])
def test_a_checkpoint_run_through_its_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
) -> None:
    state = reference_model.umup.build(64).state_dict()
    torch.save({"model": state}, tmp_path / "x.pt")
    words = ["--model", "reference_model:umup", "--batches", "1", "--batch-size", "1", *given]
    out = tmp_path / "out"
    code, result = judge(
        monkeypatch, capsys, tmp_path / "x.pt", *words, "--seq-len", "16", "--out", out
    )
    assert code == 0
    assert {f["kind"] for f in result["findings"]} == {"input", "weight", "grad_output"}
    weights = {f["tensor"]: f["rms"] for f in result["findings"] if f["kind"] == "weight"}
    expected = state["head.weight"].double().square().mean().sqrt()
    assert weights["head"] == pytest.approx(float(expected))
    assert any("at width 64" in note["text"] for note in result["notes"])


def test_a_checkpoint_of_another_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"w": torch.randn(64, 64)}, tmp_path / "x.pt")
    for more in ([], ["--width", "64"]):
        words = ("fp8-range", tmp_path / "x.pt", "--model", "reference_model:umup", *more)
        assert run(monkeypatch, *words, "--out", tmp_path / "out") == 2
        assert "x.pt" in capsys.readouterr().err


def test_record_then_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["--width", 64, "--steps", 4, "--every", 2, "--batch-size", 1, "--seq-len", 16]
    assert (
        run(monkeypatch, "record", *words, "--fp8", "workshop", "--device", "cpu", "--out", out)
        == 0
    )
    said = capsys.readouterr().out
    assert "3 snapshots of 4 updates" in said
    assert f"umup-diag fp8-range {out}" in said
    code, result = judge(monkeypatch, capsys, out, "--out", tmp_path / "out")
    assert code in (0, 1)
    assert [point[0] for point in result["findings"][0]["points"]] == [0, 2, 4]
    for picture in ("spans", "training", "headroom"):
        assert (tmp_path / "out" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert run(monkeypatch, "fp8-range", out, "--formats", "mxfp8", "--out", tmp_path / "o") == 2
    assert "--blocks mxfp8_e4m3" in capsys.readouterr().err


def test_the_table_names_the_worst_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = SAVERS["torch"](tmp_path, tensors(torch.bfloat16))
    run(monkeypatch, "fp8-range", path, "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert said.index("nan.weight") < said.index("over.weight") < said.index("above_a_tenth")
    assert "cast it to E5M2" in said
    assert "fp8-range: FAIL (10 PASS, 4 FAIL, 1 INCONCLUSIVE)" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.pt"], "No such file"),
        ([], "Missing argument"),
        (["x.pt", "--formats", "e4m9"], "unknown format"),
        (["x.pt", "--steps", "a"], "not like 1000,2000"),
        (["x.pt", "--include", "nothing"], "no tensor is left"),
        (["x.pt", "y.pt"], "does not say which step"),
    ],
)
def test_bad_usage_is_one_clear_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.pt", "y.pt"):
        torch.save({"w": torch.ones(4, 4)}, name)
    assert run(monkeypatch, "fp8-range", *words) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
