"""How fast a checkpoint is scanned, beside reading its bytes and beside other ways to look at it.

    python benchmarks/checkpoint_scan.py [--gigabytes 1] [--rounds 5] [--file FILE]

All ways take turns in one process on a warm cache; the least time of each counts. ``weightlens``
runs only where it is installed. Memory is that of a process of its own, file pages not counted.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from umup_diag.checks.fp8_range.judge import judge
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.measure.checkpoint.checkpoint import select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan
from umup_diag.recording import Recording

MAX, MIN_NORMAL, FLUSH = 464.0, 2.0**-6, 2.0**-10


def read_bytes(path: Path) -> None:
    """All bytes once through numpy, mapped."""
    np.memmap(path, dtype=np.uint64, mode="r", shape=(path.stat().st_size // 8,)).sum()


def copy_bytes(path: Path) -> None:
    """All bytes once through numpy, copied."""
    np.fromfile(path, dtype=np.uint8)


def safe_open_loop(path: Path) -> None:
    """What one writes by hand: RMS, absmax and three fractions, in torch."""
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            x = file.get_tensor(name).float().abs()
            nonzero = x[x > 0]
            x.square().mean().sqrt().item()
            x.max().item()
            (nonzero <= FLUSH).float().mean().item()
            ((nonzero > FLUSH) & (nonzero < MIN_NORMAL)).float().mean().item()
            (nonzero > MAX).float().mean().item()


def ours(path: Path) -> None:
    """Every element counted."""
    scan(select(open_checkpoint(path)).tensors)


def ours_judged(path: Path) -> None:
    """Counted, and judged in two formats with the best scale of each."""
    frame = scan(select(open_checkpoint(path)).tensors)
    recording = Recording(command="fp8-range", settings={}, environment={}, frames=[frame])
    judge(recording, RangeSettings())


def weightlens(path: Path) -> None:
    """The nearest tool."""
    start = "from weightlens.cli import main; main()"
    subprocess.run([sys.executable, "-c", start, "analyze", str(path)], capture_output=True)


def fastest(way: Callable[[Path], None], path: Path, rounds: int) -> float:
    """Least seconds of some rounds."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        way(path)
        times.append(perf_counter() - start)
    return min(times)


def make(path: Path, gigabytes: float) -> None:
    """A bfloat16 checkpoint of about that size."""
    number = max(1, round(gigabytes * 1e9 / (2 * 4096 * 4096)))
    save_file(
        {f"layers.{i}.weight": (torch.randn(4096, 4096) * 0.02).bfloat16() for i in range(number)},
        path,
    )


MEMORY = """
import re, sys
from pathlib import Path
def status(key):
    found = re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1024
from umup_diag.measure.checkpoint.checkpoint import select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan
import torch
from umup_diag.numerics.histogram import CodeHistogram
CodeHistogram.of(torch.zeros(8, dtype=torch.bfloat16))
before, peak = status("RssAnon"), 0.0
def look(*_):
    global peak
    peak = max(peak, status("RssAnon"))
scan(select(open_checkpoint(Path(sys.argv[1]))).tensors, progress=look)
print(f"{peak - before:.0f} MiB")
"""


def main() -> None:
    """Print a table of times and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--file", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.file or Path(folder) / "model.safetensors"
        if asked.file is None:
            make(path, asked.gigabytes)
        ways: list[tuple[Callable[[Path], None], int]] = [
            (read_bytes, asked.rounds),
            (copy_bytes, asked.rounds),
            (ours, asked.rounds),
            (ours_judged, asked.rounds),
            (safe_open_loop, 2),
        ]
        if find_spec("weightlens"):
            ways.append((weightlens, 1))
        ours(path)  # compiles, and warms the cache
        times = {way: fastest(way, path, rounds) for way, rounds in ways}
        size = path.stat().st_size / 1e9
        print(f"{size:.2f} GB, {torch.get_num_threads()} threads")
        for way, seconds in times.items():
            print(
                f"{way.__name__:16} {seconds:8.3f} s  {size / seconds:6.2f} GB/s  "
                f"{seconds / times[read_bytes]:7.2f} × read_bytes  "
                f"{seconds / times[ours]:7.2f} × ours"
            )
        child = subprocess.run(
            [sys.executable, "-c", MEMORY, str(path)], check=True, capture_output=True, text=True
        )
        print(f"memory above the mapped file: {child.stdout.strip()}")


if __name__ == "__main__":
    main()
