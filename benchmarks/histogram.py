"""What one code histogram costs, against one pass of `torch.linalg.vector_norm`.

python -m benchmarks.histogram [--rounds 9] [--threads 2] [--skip-compile]
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import race, show
from umup_diag.numerics.formats import E4M3FN
from umup_diag.numerics.histogram import CodeHistogram

LARGE = 2**26
SMALL = 2**16


def naive(x: Tensor) -> tuple[Tensor, ...]:
    """Eight statistics for one format, as one would write them."""
    a = x.float().abs()
    nonzero = a > 0
    finite = a.isfinite()
    flushed = nonzero & (a <= E4M3FN.flush_threshold)
    subnormal = (a > E4M3FN.flush_threshold) & (a < E4M3FN.min_normal)
    return (
        x.float().square().mean().sqrt(),
        a.max(),
        torch.where(nonzero, a, torch.inf).min(),
        (~nonzero).sum(),
        flushed.sum(),
        subnormal.sum(),
        (a > E4M3FN.overflow_threshold).sum(),
        (~finite).sum(),
    )


def contenders(x: Tensor, *, compiled: bool) -> dict[str, Callable[[], object]]:
    """Ours for three dtypes, and what to compare with."""
    low, half = x.bfloat16(), x.half()
    runs: dict[str, Callable[[], object]] = {
        "vector_norm float32": lambda: torch.linalg.vector_norm(x),
        "ours float32": lambda: CodeHistogram.of(x),
        "ours bfloat16": lambda: CodeHistogram.of(low),
        "ours float16": lambda: CodeHistogram.of(half),
        "naive eager float32": lambda: naive(x),
    }
    if compiled:
        fused = torch.compile(naive)
        runs["torch.compile float32"] = lambda: fused(x)
    return runs


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for size in (LARGE, SMALL):
        x = torch.randn(size)
        rounds = options.rounds if size == LARGE else 100
        seconds = race(contenders(x, compiled=not options.skip_compile), rounds=rounds)
        title = f"{size} elements, {options.threads} threads, best of {rounds}"
        show(title, seconds, against="vector_norm float32")


if __name__ == "__main__":
    main()
