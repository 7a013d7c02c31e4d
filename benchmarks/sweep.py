"""A sweep in two processes against one, and against the same runs in a plain loop.

``python -m benchmarks.sweep``: wall time as ratios to the plain loop, each way in turn, best of a
few rounds in one run. Only on a machine that is idle do they mean anything.
"""

import argparse
import time
from collections.abc import Callable, Mapping

import torch

from umup_diag.measure.loss_curve import CurveTask, loss_curve
from umup_diag.measure.pool import Pool
from umup_diag.settings.shared import TrainingRunSettings


def tasks(runs: int, steps: int) -> list[CurveTask]:
    """Short runs of the reference model, alike but for their seed."""
    return [
        CurveTask(
            name=f"run {seed}",
            settings=TrainingRunSettings(
                model="reference_model:umup",
                width=64,
                steps=steps,
                optimizer="adam",
                lr=1.0,
                batch_size=4,
                seq_len=64,
                seed=seed,
                device="cpu",
            ),
        )
        for seed in range(runs)
    ]


def seconds(work: Callable[[], object]) -> float:
    """That a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    todo = tasks(chosen.runs, chosen.steps)
    torch.set_num_threads(1)

    def pooled(jobs: int) -> None:
        with Pool.local(jobs, threads=1) as pool:
            list(pool.run(loss_curve, todo))

    ways: Mapping[str, Callable[[], object]] = {
        "plain loop": lambda: [loss_curve(task) for task in todo],
        "one job": lambda: pooled(1),
        "two jobs": lambda: pooled(2),
    }
    taken = {
        name: min(times)
        for name, times in zip(
            ways,
            zip(
                *([seconds(way) for way in ways.values()] for _ in range(chosen.rounds)),
                strict=True,
            ),
            strict=True,
        )
    }
    for name, best in taken.items():
        print(f"{name}: {best / taken['plain loop']:.2f}")


if __name__ == "__main__":
    main()
