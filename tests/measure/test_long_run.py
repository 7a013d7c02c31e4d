"""A recorded training run: its schedule, its FP8, and that it can be taken up again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.measure import long_run
from umup_diag.measure.long_run import rate, recorded_settings
from umup_diag.measure.training import scalar_loss
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.settings.shared import TrainingRunSettings

RUN = TrainingRunSettings(
    model="reference_model:umup",
    width=64,
    steps=6,
    every=2,
    optimizer="adamw",
    lr=0.1,
    warmup=2,
    decay=True,
    batch_size=1,
    seq_len=8,
    device="cpu",
)


def train(run: TrainingRunSettings, out: Path, *, resume: bool = False) -> Recording:
    return long_run.train(run, Workplace(out=out, resume=resume))


def test_it_records_from_the_first_to_after_the_last_update(tmp_path: Path) -> None:
    recording = train(RUN, tmp_path)
    assert [frame.step for frame in recording.frames] == [0, 2, 4, 6]
    assert len(recording.losses) == 6
    assert recorded_settings(tmp_path, device="cpu") == RUN
    assert not (tmp_path / long_run.STATE).exists()


def test_what_the_settings_leave_open_is_recorded_as_it_was_chosen(tmp_path: Path) -> None:
    train(replace(RUN, optimizer=None, lr=None, steps=1), tmp_path)
    settings = recorded_settings(tmp_path, device="cpu")
    assert settings.optimizer == "adam"
    assert settings.lr is not None


def test_progress_is_in_updates(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    workplace = Workplace(out=tmp_path, progress=lambda *step: steps.append(step))
    long_run.train(replace(RUN, steps=2), workplace)
    assert steps == [("updates", done, 2) for done in (0, 1, 2)]


def test_losses_after_the_last_frame_are_kept(tmp_path: Path) -> None:
    frames = train(replace(RUN, steps=5, every=3), tmp_path).frames
    assert [(each.step, len(each.losses)) for each in frames] == [(0, 0), (3, 3), (5, 2)]
    assert frames[-1].records == ()


def test_the_rate_rises_and_falls() -> None:
    run = replace(RUN, steps=100, warmup=9)
    rates = [rate(run, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rate(replace(RUN, warmup=0, decay=False), 50) == 1.0


class _KilledError(Exception):
    pass


@pytest.mark.parametrize(
    ("run", "stop"),
    [
        (RUN, 1),
        (RUN, 3),
        (RUN, 4),
        (replace(RUN, steps=5, every=3), 4),  # no frame is due after the kill
        (replace(RUN, steps=5, every=3), 5),  # nor any update
    ],
)
def test_a_killed_run_ends_in_the_bytes_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: TrainingRunSettings, stop: int
) -> None:
    whole = train(run, tmp_path / "whole")
    monkeypatch.setattr(long_run, "SAVE_SECONDS", -1.0)
    calls = 0

    def kill(*_: object) -> None:
        raise _KilledError

    def count(*args: object) -> torch.Tensor:
        nonlocal calls
        if calls == stop:
            raise _KilledError
        calls += 1
        return scalar_loss(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(long_run, "scalar_loss", count)
        patch.setattr("umup_diag.measure.live.LiveRecording.finish", kill)
        with pytest.raises(_KilledError):
            train(run, tmp_path / "parts")
    again = recorded_settings(tmp_path / "parts", device="cpu")
    resumed = train(again, tmp_path / "parts", resume=True)
    assert resumed.losses == whole.losses
    written = [(tmp_path / name / Recording.FILE).read_bytes() for name in ("whole", "parts")]
    assert written[0] == written[1]


def test_simulated_fp8_changes_the_run_and_the_recorder_sees_what_is_not_cast(
    tmp_path: Path,
) -> None:
    plain = train(RUN, tmp_path / "plain")
    cast = train(replace(RUN, fp8="workshop"), tmp_path / "fp8")
    assert plain.losses != cast.losses
    weights = [
        {r.tensor: r.histogram for r in recording.frames[0].records if r.kind == "weight"}
        for recording in (plain, cast)
    ]
    assert weights[0] == weights[1]


def test_an_unknown_recipe_leaves_an_older_recording_as_it_is(tmp_path: Path) -> None:
    train(replace(RUN, steps=1), tmp_path)
    before = (tmp_path / Recording.FILE).read_bytes()
    with pytest.raises(InputError):
        train(replace(RUN, fp8="no-such-recipe"), tmp_path)
    assert (tmp_path / Recording.FILE).read_bytes() == before


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    recording = train(replace(RUN, optimizer="sgd", lr=1e38, warmup=0), tmp_path)
    assert len(recording.losses) < RUN.steps
    assert not torch.tensor(recording.losses[-1]).isfinite()


@pytest.mark.parametrize("left", [None, "", '{"schema": 2, "comm'])
def test_a_run_that_was_killed_before_its_first_line_says_to_start_anew(
    tmp_path: Path, left: str | None
) -> None:
    if left is not None:
        (tmp_path / Recording.FILE).write_text(left)
    with pytest.raises(InputError, match="Start it anew"):
        recorded_settings(tmp_path, device="cpu")


def test_what_was_recorded_otherwise_cannot_be_resumed(tmp_path: Path) -> None:
    said = {"record": "recorded by a loop of yours", "coordcheck": "a recording of umup-diag coord"}
    for command, message in said.items():
        Recording.create(tmp_path, command=command, settings={"every": 1}, environment={})
        with pytest.raises(InputError, match=message):
            recorded_settings(tmp_path, device="cpu")
    with pytest.raises(InputError, match="there is no recording"):
        train(RUN, tmp_path / "nowhere", resume=True)


def test_a_text_that_has_changed_or_a_state_that_is_none_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(bytes(range(100)))
    run = replace(RUN, text=text, steps=1)
    train(run, tmp_path)
    (tmp_path / long_run.STATE).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot read"):
        train(run, tmp_path, resume=True)
    text.write_bytes(bytes(range(100, 200)))
    with pytest.raises(InputError, match="has changed since the run began"):
        train(run, tmp_path, resume=True)
