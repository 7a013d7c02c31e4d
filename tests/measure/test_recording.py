from math import inf, isnan, nan
from pathlib import Path

import pytest

from umup_diag.errors import InputError
from umup_diag.measure.recording import Recording, Row, Run
from umup_diag.scaling.kinds import Kind


def run(width: int, *, rms: float = 1.0, rows: int = 3) -> Run:
    return Run(
        width=width,
        seed=0,
        losses=(5.5, rms),
        rows=tuple(
            Row(
                width=width,
                seed=0,
                step=0,
                tensor=f"layers.{n}",
                kind=Kind.INPUT,
                order=n,
                fan_in=width,
                fan_out=width,
                head_dim=None,
                count=16 * width,
                rms=rms,
                absmax=inf,
                nonfinite=0,
            )
            for n in range(rows)
        ),
    )


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "recording.jsonl"
    recording = Recording.create(path, {"widths": [64, 128]}, {"torch": "2"})
    for width in (64, 128):
        recording.append(run(width))
    again = Recording.load(path)
    assert again.runs == recording.runs
    assert (again.settings, again.environment) == (recording.settings, recording.environment)


def test_nan_is_valid_json_and_comes_back(tmp_path: Path) -> None:
    recording = Recording.create(tmp_path / "r", {}, {})
    recording.append(run(64, rms=nan))
    assert '"nan"' in (tmp_path / "r").read_text()
    (again,) = Recording.load(tmp_path / "r").runs.values()
    assert isnan(again.losses[1])
    assert isnan(again.rows[0].rms)


def test_a_cut_at_any_byte_keeps_exactly_the_finished_runs(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    recording = Recording.create(whole, {}, {})
    header = whole.stat().st_size
    recording.append(run(64))
    first = whole.stat().st_size
    recording.append(run(128))
    content = whole.read_bytes()
    for length in range(header, len(content) + 1):
        cut.write_bytes(content[:length])
        kept = Recording.load(cut)
        assert len(kept.runs) == (length >= first) + (length >= len(content)), length
        kept.append(run(512))
        assert Recording.load(cut).runs == kept.runs


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]\n", b'{"schema": 7}\n', b"\xff\xfe\n", b"null\n"]
)
def test_what_is_no_recording_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"recording\.jsonl is not a"):
        Recording.load(path)


def test_a_missing_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no recording"):
        Recording.load(tmp_path / "none")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to --out"):
        Recording.create(tmp_path / "file" / "recording.jsonl", {}, {})
