"""What recording costs a training loop: off the cadence, on every step, with weights sampled.

    python benchmarks/record_overhead.py [--widths 256,1024] [--tokens 512] [--steps 8] [--rounds 5]
        [--threads N]

The reference model, AdamW, depth 2. The bare loop and the recorded ones take turns, a few steps
each, in one process; medians over rounds, as ratios to the bare loop of the same round. In
wall-clock time, and in processor time, which other work on the machine disturbs less.
"""

import argparse
import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

import reference_model
import umup_diag


def seconds(
    width: int, recording: dict[str, Any] | None, tokens: int, steps: int, folder: Path
) -> tuple[float, float]:
    """Wall-clock and processor time of one step, the first left out."""
    torch.manual_seed(0)
    model = reference_model.umup.build(width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    batch = torch.randint(0, 256, (tokens // 128, 129))
    recorded = umup_diag.record(model, to=folder, **recording) if recording else nullcontext()
    with recorded:
        for step in range(steps + 1):
            if step == 1:
                wall, processor = perf_counter(), process_time()
            model.loss(batch).backward()
            optimizer.step()
            optimizer.zero_grad()
        return (perf_counter() - wall) / steps, (process_time() - processor) / steps


def main() -> None:
    """Print milliseconds and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--widths", default="256,1024")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"{asked.tokens} tokens a step, {asked.threads} threads")
    ways: dict[str, dict[str, Any]] = {
        "off the cadence": {"every": 1_000_000},
        "every step": {"every": 1},
        "weights sampled": {"every": 1, "sample_weights": True},
    }
    with tempfile.TemporaryDirectory() as name:
        for width in map(int, asked.widths.split(",")):
            bare: list[float] = []
            ratios: dict[str, list[tuple[float, float]]] = {label: [] for label in ways}
            for _ in range(asked.rounds):
                start = seconds(width, None, asked.tokens, asked.steps, Path(name))
                bare.append(start[0])
                for label, recording in ways.items():
                    took = seconds(width, recording, asked.tokens, asked.steps, Path(name))
                    ratios[label].append((took[0] / start[0], took[1] / start[1]))
            print(f"width {width}: bare {1000 * median(bare):.0f} ms a step")
            for label, found in ratios.items():
                wall, processor = zip(*found, strict=True)
                print(
                    f"  {label:16} wall × {median(wall):.3f} ({min(wall):.3f} … {max(wall):.3f}), "
                    f"processor × {median(processor):.3f} ({min(processor):.3f} … "
                    f"{max(processor):.3f})"
                )


if __name__ == "__main__":
    main()
