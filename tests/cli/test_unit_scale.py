"""``umup-diag unit-scale`` and the options of ``gate``, in process."""

import json
import sys
from pathlib import Path

import pytest

from umup_diag.cli import main


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["umup-diag", *args])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


SMALL = ("unit-scale", "--width", "64", "--seeds", "3", "--batches", "1")


def test_json_is_the_result_and_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(monkeypatch, capsys, *SMALL, "--out", str(tmp_path), "--json")
    again = run(monkeypatch, capsys, *SMALL, "--out", str(tmp_path), "--json")
    assert first == again
    code, out, _ = first
    result = json.loads(out)
    assert (code, result["command"], result["verdict"]) == (0, "unit-scale", "PASS")
    assert result == json.loads((tmp_path / "result.json").read_text())
    head = next(f for f in result["findings"] if (f["tensor"], f["kind"]) == ("head", "output"))
    assert head["expected"] == pytest.approx(1 / 8)
    assert head["because"] == "1/√64: a readout"
    assert head["interval"][0] < head["rms"] < head["interval"][1]


def test_the_table_names_the_first_offender_and_the_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", "reference_model:mup")
    code, out, _ = run(monkeypatch, capsys, *SMALL, *model, "--out", str(tmp_path))
    assert code == 1
    text = " ".join(out.split())
    assert "First offender: layers.0.attention.q weight at width 64: RMS 0.12" in text
    assert "wanted 0.707…1.41: init: multiply the initial standard deviation by 7.9" in text
    assert "unit-scale: FAIL" in text
    assert (tmp_path / "unit_scale.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--width", "wide"), "neither like 256 nor like 128,512"),
        (("--width", "0"), "a width is at least 1"),
        (("--width", "65"), "build(65) raised ValueError"),
        (("--tolerance", "1"), "x>1"),
        (("--seq-len", "1"), "x>=2"),
        (("--model", "no.such"), "there is no module"),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_2(
    args: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(monkeypatch, capsys, "unit-scale", *args, "--out", str(tmp_path / "o"))
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_one_seed_is_inconclusive_and_exit_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("unit-scale", "--width", "64", "--seeds", "1", "--out", str(tmp_path))
    code, out, _ = run(monkeypatch, capsys, *args)
    assert code == 3
    assert "one seed gives no interval" in out


def test_plans_that_would_share_a_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'check = "unit-scale"\nmodel = "reference_model:umup"\nwidth = 64\nseeds = 2\n'
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "it.toml").write_text(text)
    code, out, _ = run(monkeypatch, capsys, "gate", "a", "b", "--format", "json")
    assert code == 2
    errors = [plan["error"] for plan in json.loads(out)["plans"]]
    assert errors[0] is None
    assert "give one of them out" in errors[1]
