"""What is printed where: any encoding, any width, and stdout for the result alone."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, run
from umup_diag.cli import streams

SMALL = ("--widths", "64,128", "--seeds", "2", "--steps", "1")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "u-muP x +- -> ... sqrt2 ? e"),
        ("cp1252", "u-µP × ± -> … sqrt2 ? é"),
        ("utf-8", "u-µP × ± → … √2 \u4e2d é"),
    ],
)
def test_any_encoding_takes_any_text(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    streams.prepare()
    streams.say("u-µP × ± → … √2 \u4e2d é")
    sys.stdout.flush()
    assert raw.getvalue().decode(encoding) == expected + "\n"


def test_json_and_xml_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    streams.prepare()
    streams.say_json('{"é": "→ \U0001f600"}')
    streams.say_xml("<é>→</é>")
    sys.stdout.flush()
    first, second = raw.getvalue().decode("ascii").splitlines()
    assert json.loads(first) == {"é": "→ \U0001f600"}
    assert second == "<&#233;>&#8594;</&#233;>"


@pytest.mark.parametrize(
    ("columns", "width"), [("60", 60), ("250", 250), ("", 100), ("0", 100), ("wide", 100)]
)
def test_columns_is_honoured_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert streams.console().width == width


NOISY = """
import os, sys
from torch import nn
print("at import")
os.write(1, b"below Python\\n")
def build(width):
    print("in build")
    os.system("echo from a child")
    return nn.Sequential(nn.Embedding(256, width), nn.Linear(width, 256))
"""


def test_stdout_is_the_results_whatever_a_module_prints(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    words = "unit-scale --model noisy --width 64 --seeds 2 --batches 1 --json"
    done = subprocess.run(
        [sys.executable, "-m", "umup_diag.cli", *words.split()],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
        | {"HOME": "/proc/1/nowhere", "MPLCONFIGDIR": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["command"] == "unit-scale", done.stderr
    said = set(done.stderr.splitlines())
    assert said == {"at import", "below Python", "in build", "from a child"}


def test_a_reader_that_leaves_is_no_failed_check(tmp_path: Path) -> None:
    command = f"{sys.executable} -m umup_diag.cli formats | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 141)  # 0 where all of it fits into the pipe
    assert done.stderr == ""


def test_the_same_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY.replace('os.write(1, b"below Python\\n")', ""))
    done = run(tmp_path, "coordcheck", "--model", "noisy", *SMALL, "--json")
    assert json.loads(done.out)["command"] == "coordcheck", done.err
    assert "at import" in done.err
