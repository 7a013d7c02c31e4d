"""What measuring adds to a coord check: the same training steps, watched and bare, in one run.

``python -m benchmarks.coordcheck --widths 128 256 512 1024 2048 4096 --seeds 2``

Each run builds a model, takes the coord check's three updates on one batch, and is done once
watched and once bare, in alternating order. Printed: wall time per width of both, their ratio, and
the peak memory of the whole process.
"""

import argparse
import resource
import time

import torch

from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import Schedule, train


def seconds(subject: Subject, corpus: Corpus, *, width: int, seed: int, record: bool) -> float:
    """Wall time of one run."""
    optimizer, lr = subject.choose_optimizer("adam", None)
    schedule = Schedule(steps=3, optimizer=optimizer, lr=lr, batch_size=4, seq_len=8, record=record)
    start = time.perf_counter()
    device = torch.device("cpu")
    for _ in train(subject, corpus, schedule, width=width, seed=seed, stream=seed, device=device):
        pass
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference_model:umup")
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    subject, corpus = Subject.load(arguments.model), Corpus.load()
    seconds(subject, corpus, width=arguments.widths[0], seed=0, record=True)  # to load
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.model}")
    totals = {True: 0.0, False: 0.0}
    for width in arguments.widths:
        spent = {True: 0.0, False: 0.0}
        for seed in range(arguments.seeds):
            for record in (True, False) if seed % 2 else (False, True):
                spent[record] += seconds(subject, corpus, width=width, seed=seed, record=record)
        for record, value in spent.items():
            totals[record] += value
        _print(f"width {width:5}", spent)
    _print("all widths ", totals)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB")


def _print(label: str, spent: dict[bool, float]) -> None:
    ratio = spent[True] / spent[False]
    print(f"{label}: watched {spent[True]:7.1f} s, bare {spent[False]:7.1f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
