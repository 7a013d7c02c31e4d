"""Attention's Monte-Carlo against a plain loop at the same precision: time and memory, in one run.

    python benchmarks/monte_carlo.py [--full]

The plain loop draws fresh q, k, v and grad-output for every draw of every point, calls PyTorch's
fused attention and back-propagates. Both are asked for the same standard error of every scale. On
each point of a thinned grid both make the same pilot; what each needs in all is its time per draw
times the draws that its own pilot asks for. ``--full`` also runs the whole default grid.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from umup_diag.checks.scale_law.law_fit import by_quantity
from umup_diag.measure.monte_carlo.builtin_ops import BUILTIN_OPS, attention_by_autograd
from umup_diag.measure.monte_carlo.estimate import (
    PILOT_DRAWS,
    Sampler,
    draw_seed,
    draws_needed,
    estimate_grid,
)
from umup_diag.recording.frame import Point
from umup_diag.settings.ranges import grid_points

OP = BUILTIN_OPS["attention"]
THIN: dict[str, tuple[float, ...]] = {
    "seq_len": (64, 512, 4096),
    "head_dim": (16, 128),
    "alpha": (1 / 16, 1.0, 16.0),
}


def cost(sampler: Sampler, point: Point) -> tuple[float, int]:
    """(seconds for all draws, how many draws) to reach the op's default error at one point."""
    seeds = [draw_seed(0, point, draw) for draw in range(PILOT_DRAWS)]
    cpu = torch.device("cpu")
    sampler.draw(point, seeds[:1], cpu)
    start = time.perf_counter()
    pilot = sampler.draw(point, seeds, cpu)
    per_draw = (time.perf_counter() - start) / PILOT_DRAWS
    draws = max(PILOT_DRAWS, draws_needed(pilot, OP.relative_error))
    return per_draw * draws, draws


def own_peak_mib() -> float:
    """Peak resident memory of the process (Linux); getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def peak_mib(which: str) -> float:
    """Peak resident memory of one draw at seq_len 4096, head_dim 128, less that of the imports."""
    code = (
        "import benchmarks.monte_carlo as b, torch;"
        "peak = b.own_peak_mib;"
        "point = dict(seq_len=4096, head_dim=128, alpha=1.0); small = {**point, 'seq_len': 16};"
        f"sampler = b.OP.sampler if {which!r} == 'ours' else b.attention_by_autograd(causal=True);"
        "sampler.draw(small, [0], torch.device('cpu')); before = peak();"
        "sampler.draw(point, [0], torch.device('cpu')); print(peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also run the whole grid (minutes)")
    full = parser.parse_args().full
    plain = attention_by_autograd(causal=True)
    print(
        f"standard error {OP.relative_error:.1%} of every scale; {torch.get_num_threads()} threads"
    )
    print(f"{'point':>40} {'ours':>16} {'plain loop':>18} {'ratio':>7}")
    totals = np.zeros(2)
    for point in grid_points(THIN):
        (ours, our_draws), (loop, loop_draws) = cost(OP.sampler, point), cost(plain, point)
        totals += ours, loop
        words = " ".join(f"{name}={value:g}" for name, value in point.items())
        print(
            f"{words:>40} {ours:8.2f} s {our_draws:5d} {loop:9.2f} s {loop_draws:6d} "
            f"{loop / ours:6.0f}×",
            flush=True,
        )
    print(f"{'in all':>40} {totals[0]:8.1f} s {totals[1]:15.1f} s {totals[1] / totals[0]:13.0f}×")
    for which in ("ours", "plain"):
        print(f"peak memory of a draw at seq_len 4096, {which}: {peak_mib(which):.0f} MiB")
    if full:
        points = grid_points(OP.grid)
        start = time.perf_counter()
        frames = list(estimate_grid(OP.sampler, points, relative_error=OP.relative_error))
        seconds = time.perf_counter() - start
        worst = max(float(each.relative_error.max()) for each in by_quantity(frames).values())
        print(
            f"full grid: {len(points)} points in {seconds:.0f} s, worst standard error "
            f"{worst:.2%}, peak memory of the process {own_peak_mib():.0f} MiB"
        )


if __name__ == "__main__":
    main()
