"""What a sweep leaves in its folder, and how it is taken up again."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.measure import UNFINISHED, complete, measure, resolve
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.verdict import Verdict
from umup_diag.errors import InputError
from umup_diag.measure.subject import Subject
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording, Value


def settings(**changes: Any) -> CoordcheckSettings:
    small = CoordcheckSettings(
        model="reference_model:mup", widths=(64, 128), seeds=2, steps=1, device="cpu"
    )
    return resolve(replace(small, **changes))


def cut(folder: Path) -> bytes:
    """Take the end off a recording, as a kill does; what it was."""
    path = folder / Recording.FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    return whole


def test_what_is_left_open_is_the_subjects_choice() -> None:
    found = settings()
    assert (found.optimizer, found.lr, found.target) == ("adam", 2.0**-13, "mup")
    assert resolve(found) == found
    asked = settings(optimizer="sgd", lr=0.5, target="sp")
    assert (asked.optimizer, asked.lr, asked.target) == ("sgd", 0.5, "sp")


def test_a_subjects_own_optimizer_is_the_default_and_sets_its_own_rate() -> None:
    subject = Subject(name="mine", build=nn.Identity, optimizer=torch.optim.Adam, target="ntk")
    open_ = CoordcheckSettings(model="mine")
    found = complete(open_, subject)
    assert (found.optimizer, found.lr, found.target) == (None, None, "ntk")
    assert complete(replace(open_, optimizer="sgd"), subject).optimizer == "sgd"
    with pytest.raises(InputError, match="--lr needs --optimizer: mine brings its own"):
        complete(replace(open_, lr=0.1), subject)


def test_a_run_is_a_frame_of_values_for_each_step(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    workplace = Workplace(out=tmp_path, progress=lambda *step: steps.append(step))
    recording = measure(settings(), workplace)
    assert Recording.load(tmp_path).frames == recording.frames
    assert list(recording.runs()) == [
        (("width", width), ("seed", seed)) for width in (64, 128) for seed in (0, 1)
    ]
    for frames in recording.runs().values():
        assert [(frame.step, len(frame.losses)) for frame in frames] == [(0, 1), (1, 1)]
    assert all(isinstance(record.statistics, Value) for _, record in recording)
    assert "text_digest" in recording.environment
    labels = ("width    64", "width   128")
    assert steps == [(label, 0, 2) for label in labels] + [
        (label, done, 2) for label in labels for done in (1, 2)
    ]


def test_the_judge_needs_the_recording_alone(tmp_path: Path) -> None:
    chosen = settings()
    result = judge(measure(chosen, Workplace(out=tmp_path)), chosen)
    again = Recording.load(tmp_path)
    assert judge(again, CoordcheckSettings.decode(again.settings)) == result


def test_a_resumed_sweep_ends_in_the_same_bytes(tmp_path: Path) -> None:
    measure(settings(), Workplace(out=tmp_path))
    whole = cut(tmp_path)
    recording = measure(settings(), Workplace(out=tmp_path, resume=True))
    assert (tmp_path / Recording.FILE).read_bytes() == whole
    assert len(recording.runs()) == 4


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        ("coordcheck", {"seeds": 3}),
        ("coordcheck", {"lr": 1.0}),
        ("coordcheck", {"text": Path(__file__)}),
        ("record", {}),
    ],
)
def test_what_was_recorded_otherwise_is_not_resumed(
    tmp_path: Path, command: str, changes: dict[str, Any]
) -> None:
    Recording.create(tmp_path, command=command, settings=settings().encode(), environment={})
    with pytest.raises(InputError, match="no coord check with these settings"):
        measure(settings(**changes), Workplace(out=tmp_path, resume=True))


def test_a_text_that_has_changed_is_not_trained_on(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"to be or not to be, that is the question")
    chosen = settings(text=text)
    measure(chosen, Workplace(out=tmp_path))
    cut(tmp_path)
    text.write_bytes(b"to be or not to be, that is no question at all")
    with pytest.raises(InputError, match=r"text .* has changed since the run began; start anew"):
        measure(chosen, Workplace(out=tmp_path, resume=True))


def test_an_unfinished_recording_is_set_aside_and_a_finished_one_replaced(tmp_path: Path) -> None:
    measure(settings(), Workplace(out=tmp_path))
    measure(settings(), Workplace(out=tmp_path))
    assert not (tmp_path / UNFINISHED).exists()
    cut(tmp_path)
    unfinished = (tmp_path / Recording.FILE).read_bytes()
    measure(settings(), Workplace(out=tmp_path))
    assert (tmp_path / UNFINISHED).read_bytes() == unfinished


def test_a_sweep_ends_at_the_first_loss_that_is_not_finite(tmp_path: Path) -> None:
    chosen = settings(optimizer="sgd", lr=1e30, steps=2)
    recording = measure(chosen, Workplace(out=tmp_path))
    assert len(recording.runs()) == 1
    again = measure(chosen, Workplace(out=tmp_path, resume=True))
    assert len(again.runs()) == 1, "the sweep is over"
    measure(chosen, Workplace(out=tmp_path))
    assert not (tmp_path / UNFINISHED).exists()


def test_a_resumed_sweep_over_two_axes_ends_in_the_same_bytes(tmp_path: Path) -> None:
    both = settings(widths=(64, 128), depths=(1, 2))
    measure(both, Workplace(out=tmp_path))
    whole = cut(tmp_path)
    recording = measure(both, Workplace(out=tmp_path, resume=True))
    assert (tmp_path / Recording.FILE).read_bytes() == whole
    places = [{k: v for k, v in dict(run).items() if k != "seed"} for run in recording.runs()]
    assert places[::2] == [
        {"width": 64, "depth": 1},
        {"width": 128, "depth": 1},
        {"width": 64, "depth": 2},
    ]


def verdicts(monkeypatch: pytest.MonkeyPatch, *found: Verdict) -> None:
    """Let the judge say so, look after look."""
    said = iter(found)
    monkeypatch.setattr(
        "umup_diag.checks.coordcheck.measure.judge",
        lambda recording, settings: SimpleNamespace(verdict=next(said)),
    )


def test_auto_adds_seeds_until_the_verdict_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umup_diag.checks.coordcheck.settings.LOOKS", (1, 2, 4))
    verdicts(monkeypatch, Verdict.INCONCLUSIVE, Verdict.PASS)
    recording = measure(settings(seeds="auto"), Workplace(out=tmp_path))
    assert len(recording.runs()) == 2 * 2
    verdicts(monkeypatch, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    recording = measure(settings(seeds="auto"), Workplace(out=tmp_path / "open"))
    assert len(recording.runs()) == 4 * 2, "the last look ends them whatever it says"


def test_auto_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umup_diag.checks.coordcheck.settings.LOOKS", (1, 2))
    verdicts(monkeypatch, Verdict.INCONCLUSIVE)
    measure(settings(seeds="auto"), Workplace(out=tmp_path))
    whole = cut(tmp_path)
    verdicts(monkeypatch, Verdict.INCONCLUSIVE)
    measure(settings(seeds="auto"), Workplace(out=tmp_path, resume=True))
    assert (tmp_path / Recording.FILE).read_bytes() == whole


def test_large_widths_get_fewer_seeds() -> None:
    wide = CoordcheckSettings(widths=(128, 1024, 2048, 4096, 8192), seeds=10)
    count = Counter(width for width, _ in wide.points(10))
    assert count == {128: 10, 1024: 10, 2048: 5, 4096: 2, 8192: 2}
    assert len(replace(wide, seeds=1).points(1)) == 5, "never more than were asked for"


def test_a_rate_at_which_nothing_is_small_is_refused_though_the_loss_does_not_rise(
    tmp_path: Path,
) -> None:
    """A normed model forgets what it was: its loss settles at ln 256 whatever the rate."""
    with pytest.raises(InputError, match="is far too large: to first order, one update is to take"):
        measure(settings(model="reference_model:umup", lr=1e9), Workplace(out=tmp_path))
