"""Sweeps on other people's executors: submitit's jobs, and Dask's workers."""

import sys
import warnings
from pathlib import Path

import pytest

from umup_diag.checks.transfer.measure import measure, resolve
from umup_diag.checks.transfer.settings import TransferSettings
from umup_diag.measure.cluster import cluster_pool
from umup_diag.measure.sweep import Sweep
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.settings.sweep import SweepSettings

POINTS = [{"width": 16, "head_dim": 16, "lr": 0.5, "seed": seed} for seed in (0, 1)]


def settings(**place: object) -> SweepSettings:
    return SweepSettings(
        steps=8,
        optimizer="adam",
        batch_size=1,
        seq_len=8,
        device="cpu",
        **place,  # type: ignore[arg-type]
    )


def swept(folder: Path, **place: object) -> Recording:
    chosen = settings(**place)
    base = chosen.one_run(width=16, lr=None)
    with Sweep(chosen, base, Workplace(out=folder), command="transfer") as sweep:
        sweep.curves(POINTS)
    return sweep.recording


def test_submitit_runs_a_sweep_to_the_same_losses(tmp_path: Path) -> None:
    here = swept(tmp_path / "here", jobs=1)
    there = swept(tmp_path / "there", cluster="local", cluster_option=("timeout_min=5",))
    assert there.frames == here.frames
    assert len(here.frames) == 2
    assert (tmp_path / "there" / "jobs").is_dir()


def test_without_submitit_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(Exception, match=r"pip install 'umup-diag\[slurm\]'"):
        cluster_pool("slurm", (), tmp_path)


@pytest.mark.slow
def test_dask_runs_the_whole_check_to_the_same_bytes(tmp_path: Path) -> None:
    chosen = TransferSettings(
        over={"width": (16, 32), "head_dim": (16,)},
        steps=16,
        batch_size=1,
        seq_len=8,
        seeds=1,
        device="cpu",
        jobs=1,
    )
    chosen = resolve(chosen)
    here = measure(chosen, Workplace(out=tmp_path / "here"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            executor = client.get_executor()
            there = measure(chosen, Workplace(out=tmp_path / "there"), executor=executor)
    assert there.frames == here.frames
