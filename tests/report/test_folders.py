"""One writer a folder, nothing half written, and nothing over what git keeps."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT
from umup_diag.errors import InputError
from umup_diag.report.claim import LOCK, claimed
from umup_diag.report.folder import write_whole
from umup_diag.report.untracked import ignore, untracked

HOLDS = (
    "import sys, time\nfrom pathlib import Path\nfrom umup_diag.report.claim import claimed\n"
    "with claimed(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


def holder(out: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_and_a_killed_first_leaves_the_folder_free(tmp_path: Path) -> None:
    process = holder(tmp_path / "out")
    try:
        message = "another umup-diag is writing to"
        with pytest.raises(InputError, match=message), claimed(tmp_path / "out"):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with claimed(tmp_path / "out"):
        (tmp_path / "out/result.json").write_text("{}")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]


def test_a_folder_that_stays_empty_is_not_left_behind(tmp_path: Path) -> None:
    with claimed(tmp_path / "a/b"):
        assert (tmp_path / "a/b" / LOCK).exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to --out"), claimed(tmp_path / "file/out"):
        pass


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "report.html", "whole")

    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "report.html", "another page")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "whole"


def test_half_a_character_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "x", "a\udcffb")
    assert (tmp_path / "x").read_text() == "a\\udcffb"


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_a_default_does_not_fall_among_tracked_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("reports/coordcheck")
    assert untracked(out) == out
    out.mkdir(parents=True)
    (out / "result.json").write_text("{}")
    assert untracked(out) == out  # no repository
    git(tmp_path, "init", "-q")
    assert untracked(out) == out  # nothing of it is tracked
    git(tmp_path, "add", "reports/coordcheck/result.json")
    assert untracked(out) == Path("reports/untracked/coordcheck")
    assert untracked(Path("reports/record")) == Path("reports/record")
    ignore(untracked(out))
    (untracked(out)).mkdir()
    (untracked(out) / "x").touch()
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "untracked" not in done.stdout
