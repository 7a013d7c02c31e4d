"""What a sweep saves by giving up on runs, and that it does not move the optimum.

``python -m benchmarks.early_stopping``: the same transfer check twice, once as it is, and once with
no run given up that still has a finite loss; over a range of rates of which half are too high.
Counts of updates, so that it may run on a busy machine.
"""

import argparse
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from umup_diag.checks.transfer.finding import TransferFinding, transfer_findings
from umup_diag.checks.transfer.judge import judge
from umup_diag.checks.transfer.measure import measure, resolve
from umup_diag.checks.transfer.settings import TransferSettings
from umup_diag.measure import loss_curve
from umup_diag.measure.workplace import Workplace


def swept(settings: TransferSettings) -> tuple[int, int, TransferFinding]:
    """Runs, updates, and what was found."""
    with TemporaryDirectory() as folder:
        recording = measure(settings, Workplace(out=Path(folder)))
    (finding,) = transfer_findings(judge(recording, settings))
    return len(recording.frames), sum(len(each.losses) for each in recording.frames), finding


def to_the_end(losses: list[float], steps: int, bound: float) -> bool:  # noqa: ARG001
    """Only a loss that is not finite ends a run."""
    return not isfinite(losses[-1])


def main() -> None:
    """Print both, and the saving."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference_model:mup")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--highest", type=float, default=4.0, help="rate")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    settings = resolve(
        TransferSettings(
            model=chosen.model,
            over={"width": (16, 32), "head_dim": (16,)},
            lr=(2.0**-10, chosen.highest),
            steps=chosen.steps,
            batch_size=4,
            seq_len=32,
            seeds=2,
            device="cpu",
            jobs=1,
        )
    )
    rule, found = loss_curve.is_hopeless, {}
    try:
        for name, each in (("as it is", rule), ("to the end", to_the_end)):
            loss_curve.is_hopeless = each
            runs, updates, finding = swept(settings)
            found[name] = updates
            optima = ", ".join(f"{size.size:g}: {size.log2}" for size in finding.sizes)
            print(f"{name}: {runs} runs, {updates} updates, drift {finding.drift}, best {optima}")
    finally:
        loss_curve.is_hopeless = rule
    print(f"saved: {1 - found['as it is'] / found['to the end']:.1%} of the updates")


if __name__ == "__main__":
    main()
