"""What recording costs a training loop: off the cadence, and when every step is recorded.

    python benchmarks/record_overhead.py [--widths 256,1024] [--tokens 512] [--steps 8] [--rounds 5]

The reference model, AdamW, depth 2. Bare, recorded off the cadence and recorded on every step take
turns, a few steps each, in one process; medians over rounds, as ratios to the bare loop of the same
round.
"""

import argparse
import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

import reference_model
import umup_diag


def seconds(width: int, every: int | None, tokens: int, steps: int, folder: Path) -> float:
    """Of one step, the first left out."""
    torch.manual_seed(0)
    model = reference_model.umup.build(width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    batch = torch.randint(0, 256, (tokens // 128, 129))
    recorded = umup_diag.record(model, every=every, to=folder) if every else nullcontext()
    with recorded:
        for step in range(steps + 1):
            if step == 1:
                start = perf_counter()
            model.loss(batch).backward()
            optimizer.step()
            optimizer.zero_grad()
        return (perf_counter() - start) / steps


def main() -> None:
    """Print milliseconds and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--widths", default="256,1024")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{asked.tokens} tokens a step, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as name:
        for width in map(int, asked.widths.split(",")):
            off, on, bare = [], [], []
            for _ in range(asked.rounds):
                times = [
                    seconds(width, every, asked.tokens, asked.steps, Path(name))
                    for every in (None, 1_000_000, 1)
                ]
                bare.append(times[0])
                off.append(times[1] / times[0])
                on.append(times[2] / times[0])
            print(
                f"width {width:5}: bare {1000 * median(bare):8.1f} ms a step, "
                f"off the cadence × {median(off):.4f} ({min(off):.3f} … {max(off):.3f}), "
                f"every step × {median(on):.4f} ({min(on):.3f} … {max(on):.3f})"
            )


if __name__ == "__main__":
    main()
