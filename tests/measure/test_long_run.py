"""A recorded training run: its schedule, its FP8, and that it can be taken up again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.measure import long_run
from umup_diag.measure.batches import Batches
from umup_diag.measure.corpus import Corpus
from umup_diag.measure.history import History
from umup_diag.measure.long_run import LongRun
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss

CORPUS = Corpus.load()
RUN = LongRun(
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
    seed=0,
    fp8=None,
    text=CORPUS.name,
    text_digest=CORPUS.digest,
)


def train(run: LongRun, out: Path, *, resume: bool = False) -> History:
    subject = Subject.load(run.model)
    batches = Batches(
        subject=subject,
        corpus=CORPUS,
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        seed=run.seed,
    )
    device = torch.device("cpu")
    return long_run.train(run, subject, batches, out, device=device, resume=resume)


def test_it_records_from_the_first_to_after_the_last_update(tmp_path: Path) -> None:
    history = train(RUN, tmp_path)
    assert [each.step for each in history.snapshots] == [0, 2, 4, 6]
    assert len(history.losses) == 6
    assert LongRun.load(tmp_path) == RUN
    assert not (tmp_path / long_run.STATE).exists()


def test_losses_after_the_last_snapshot_are_kept(tmp_path: Path) -> None:
    history = train(replace(RUN, steps=5, every=3), tmp_path)
    assert [(each.step, len(each.losses)) for each in history.snapshots] == [(0, 0), (3, 3), (5, 2)]
    assert history.snapshots[-1].tensors == ()


def test_the_rate_rises_and_falls() -> None:
    rates = [replace(RUN, steps=100, warmup=9).rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0
    assert rates[100] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert replace(RUN, warmup=0, decay=False).rate(50) == 1.0


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_killed_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    whole = train(RUN, tmp_path / "whole")
    monkeypatch.setattr(long_run, "SAVE_SECONDS", -1.0)
    real = scalar_loss
    calls = 0

    def kill(*args: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > stop:
            raise _KilledError
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(long_run, "scalar_loss", kill)
    with pytest.raises(_KilledError):
        train(RUN, tmp_path / "parts")
    monkeypatch.setattr(long_run, "scalar_loss", real)
    resumed = train(RUN, tmp_path / "parts", resume=True)
    assert resumed.snapshots == whole.snapshots
    assert resumed.losses == whole.losses


def test_simulated_fp8_changes_the_run_and_the_recorder_sees_what_is_not_cast(
    tmp_path: Path,
) -> None:
    plain = train(RUN, tmp_path / "plain")
    cast = train(replace(RUN, fp8="workshop"), tmp_path / "fp8")
    assert plain.losses != cast.losses
    weights = [
        {s.tensor: s.histogram for s in history.snapshots[0].tensors if s.kind == "weight"}
        for history in (plain, cast)
    ]
    assert weights[0] == weights[1]


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    history = train(replace(RUN, optimizer="sgd", lr=1e38, warmup=0), tmp_path)
    assert len(history.losses) < RUN.steps
    assert not torch.tensor(history.losses[-1]).isfinite()


def test_what_was_recorded_otherwise_cannot_be_resumed(tmp_path: Path) -> None:
    History.create(tmp_path, {"every": 1}, {})
    with pytest.raises(InputError, match="not recorded by umup-diag record"):
        LongRun.load(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / long_run.STATE).write_bytes(b"nonsense")
    with pytest.raises(InputError):
        train(RUN, tmp_path / "bad", resume=True)
