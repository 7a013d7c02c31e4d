import json
from math import inf, isnan, nan
from pathlib import Path

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Moments, Recording, TensorRecord, Value
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans


def create(folder: Path) -> Recording:
    return Recording.create(
        folder,
        command="coordcheck",
        settings={"widths": [64, 128]},
        environment={"torch": "2"},
        notes=[("caution", "a note")],
    )


def run(width: int, *, rms: float = 1.0, steps: int = 2, layers: int = 3) -> list[Frame]:
    """The frames of one run."""
    return [
        Frame(
            point={"width": width, "seed": 0},
            step=step,
            losses=(5.5, rms),
            records=tuple(
                TensorRecord(
                    tensor=f"layers.{n}",
                    kind=Kind.INPUT,
                    order=n,
                    fans=Fans(fan_in=width, fan_out=width) if n else None,
                    head_dim=None if n else 16,
                    statistics=Moments(count=16 * width, rms=rms, absmax=inf, nonfinite_count=n),
                )
                for n in range(layers)
            ),
        )
        for step in range(steps)
    ]


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    recording = create(tmp_path / "deep" / "er")
    for width in (64, 128):
        recording.append(*run(width))
    assert recording.path == tmp_path / "deep" / "er" / "recording.jsonl"
    again = Recording.load(tmp_path / "deep" / "er")
    assert again.frames == recording.frames
    for name in ("command", "settings", "environment", "notes", "path"):
        assert getattr(again, name) == getattr(recording, name), name


def test_a_histogram_is_read_back_with_its_rms_and_extremes(tmp_path: Path) -> None:
    x = torch.randn(1000)
    histogram = CodeHistogram.of(x)
    record = TensorRecord(tensor="x", kind="gradient of q", statistics=histogram)
    recording = create(tmp_path)
    recording.append(Frame(step=None, records=(record,)))
    ((frame, again),) = Recording.load(tmp_path)
    assert (frame.step, again.kind) == (None, "gradient of q")
    for name in ("rms", "absmax", "count", "nonfinite_count"):
        assert getattr(again.histogram, name) == getattr(histogram, name), name


def test_moments_have_no_histogram() -> None:
    (record, *_) = run(64)[0].records
    with pytest.raises(TypeError, match=r"of layers\.0 \(input\) moments were kept"):
        _ = record.histogram


def test_a_number_is_read_back_with_its_sign_and_has_no_rms(tmp_path: Path) -> None:
    records = tuple(
        TensorRecord(
            tensor=f"p{n}", kind=Kind.LOSS_CHANGE, statistics=Value(value=value, count=8 + n)
        )
        for n, value in enumerate((-0.25, 0.0, nan))
    )
    recording = create(tmp_path)
    recording.append(Frame(step=1, records=records))
    read = [record for _, record in Recording.load(tmp_path)]
    assert [record.value for record in read[:2]] == [-0.25, 0.0]
    assert [record.statistics.nonfinite_count for record in read] == [0, 0, 1]
    assert [record.statistics.count for record in read] == [8, 9, 10]
    assert all(isnan(record.rms) for record in read)
    assert recording.frame()["value"].tolist()[:2] == [-0.25, 0.0]
    with pytest.raises(TypeError, match=r"of p0 \(loss_change\) one number was kept"):
        _ = read[0].histogram
    assert run(64)[0].records[0].value == 1.0, "of moments it is the RMS"


def test_nan_is_valid_json_and_comes_back(tmp_path: Path) -> None:
    recording = create(tmp_path)
    recording.append(*run(64, rms=nan, steps=1))
    lines = (tmp_path / Recording.FILE).read_text().splitlines()
    assert any(json.loads(line).get("moments", {}).get("rms") == "nan" for line in lines)
    again = Recording.load(tmp_path)
    assert isnan(again.losses[1])
    assert isnan(again.frames[0].records[0].rms)


def test_a_cut_at_any_byte_keeps_exactly_the_finished_runs(tmp_path: Path) -> None:
    recording = create(tmp_path / "whole")
    whole = tmp_path / "whole" / Recording.FILE
    header = whole.stat().st_size
    recording.append(*run(64, layers=1))
    first = whole.stat().st_size
    recording.append(*run(128, layers=1))
    content = whole.read_bytes()
    cut = tmp_path / Recording.FILE
    for length in range(header, len(content) + 1):
        cut.write_bytes(content[:length])
        assert len(Recording.load(tmp_path).frames) % 2 == 0
        assert cut.stat().st_size == length, "load leaves the file as it is"
        kept = Recording.resume(tmp_path)
        assert len(kept.runs()) == (length >= first) + (length >= len(content)), length
        kept.append(*run(512, layers=1))
        assert Recording.load(tmp_path).frames == kept.frames


def test_resuming_from_a_step_forgets_what_came_later(tmp_path: Path) -> None:
    recording = create(tmp_path)
    for frame in run(64, steps=4):
        recording.append(frame)
    kept = Recording.resume(tmp_path, until=1)
    assert [frame.step for frame in kept.frames] == [0, 1]
    assert Recording.load(tmp_path).frames == recording.frames[:2]


def test_runs_are_the_frames_of_each_point(tmp_path: Path) -> None:
    recording = create(tmp_path)
    recording.append(*run(64))
    recording.append(*run(128))
    runs = recording.runs()
    assert list(runs) == [(("width", width), ("seed", 0)) for width in (64, 128)]
    assert runs == Recording.load(tmp_path).runs()
    assert [frame.step for frame in runs[("width", 64), ("seed", 0)]] == [0, 1]


def test_select_keeps_tensors_by_pattern_and_steps_up_to_one() -> None:
    recording = Recording(command="record", settings={}, environment={}, frames=run(64, steps=3))
    chosen = recording.select(include=["layers.*"], exclude=["*.1"], until=1)
    assert [frame.step for frame in chosen.frames] == [0, 1]
    assert {record.tensor for _, record in chosen} == {"layers.0", "layers.2"}
    with pytest.raises(InputError, match="no snapshot of such a tensor"):
        recording.select(include=["head"])


def test_a_recording_is_a_table() -> None:
    recording = Recording(command="coordcheck", settings={}, environment={}, frames=run(64))
    table = recording.frame()
    assert len(table) == 6
    assert list(table["step"]) == [0, 0, 0, 1, 1, 1]
    assert table.loc[table["tensor"] == "layers.2", ["width", "seed", "fan_in", "count"]].to_numpy(
        int
    ).tolist() == 2 * [[64, 0, 64, 1024]]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]\n", b'{"schema": 7}\n', b'{"schema": 2}\n', b"\xff\xfe\n", b"null\n"],
)
def test_what_is_no_recording_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / Recording.FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"recording\.jsonl is not a recording of umup-diag"):
        Recording.load(tmp_path)


def test_an_earlier_versions_recording_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / Recording.FILE).write_text('{"schema": 1, "settings": {}, "environment": {}}\n')
    with pytest.raises(InputError, match="recorded by an earlier version of umup-diag") as raised:
        Recording.load(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_missing_one_is_an_error(tmp_path: Path) -> None:
    assert not Recording.is_in(tmp_path)
    with pytest.raises(InputError, match="there is no recording"):
        Recording.load(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to --out"):
        create(tmp_path / "file")
