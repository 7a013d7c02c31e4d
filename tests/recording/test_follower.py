"""Reading a recording while it is written: each frame once, whole, and again after a restart."""

from pathlib import Path

import pytest

from umup_diag.errors import InputError
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.recording.follower import Follower
from umup_diag.scaling.kinds import Kind


def frame(step: int) -> Frame:
    moments = Moments(count=1, rms=1.0, absmax=float(step))
    record = TensorRecord(tensor="w→", kind=Kind.WEIGHT, statistics=moments)
    return Frame(step=step, records=(record,))


def begun(folder: Path) -> Recording:
    return Recording.create(folder, command="record", settings={}, environment={})


def steps(frames: list[Frame]) -> list[int | None]:
    return [each.step for each in frames]


def test_each_frame_comes_once(tmp_path: Path) -> None:
    recording = begun(tmp_path)
    follower = Follower(tmp_path / Recording.FILE)
    assert follower.read() == []
    recording.append(frame(0))
    recording.append(frame(1))
    assert follower.read() == recording.frames
    assert follower.read() == []
    recording.append(frame(2))
    assert steps(follower.read()) == [2]
    assert not follower.has_restarted
    assert follower.command == "record"


def test_what_is_not_whole_yet_is_waited_for(tmp_path: Path) -> None:
    recording = begun(tmp_path / "whole")
    recording.append(frame(0), frame(1))
    content = (tmp_path / "whole" / Recording.FILE).read_bytes()
    path = tmp_path / Recording.FILE
    follower, seen = Follower(path), []
    for end in range(1, len(content) + 1):
        path.write_bytes(content[:end])
        new = follower.read()
        assert new == [] or end == len(content)
        seen += new
    assert seen == recording.frames


def test_a_file_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    recording = begun(tmp_path)
    for step in range(4):
        recording.append(frame(step))
    follower = Follower(tmp_path / Recording.FILE)
    assert steps(follower.read()) == [0, 1, 2, 3]
    Recording.resume(tmp_path, until=1)
    assert steps(follower.read()) == [0, 1]
    assert follower.has_restarted


def test_no_recording_is_one_clear_error(tmp_path: Path) -> None:
    follower = Follower(tmp_path / Recording.FILE)
    with pytest.raises(InputError, match="there is no recording"):
        follower.read()
    (tmp_path / Recording.FILE).write_text("{}\n")
    with pytest.raises(InputError, match="not a recording"):
        follower.read()
