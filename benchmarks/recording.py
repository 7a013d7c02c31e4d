"""A sweep's recording with histograms and with moments: its size, and the time it takes.

``python -m benchmarks.recording [--model reference_model:umup]`` trains what the default
``umup-diag coordcheck`` does, with every kind of tensor recorded, writes it a run at a time, once
with histograms and once with moments alone, and reads both back.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from umup_diag.checks.coordcheck.measure import resolve
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.recorder import CHANGE_KINDS
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import INITIAL_KINDS, Schedule, train
from umup_diag.recording import Frame, Recording


def runs(settings: CoordcheckSettings) -> list[list[Frame]]:
    """The frames of every run, with histograms."""
    subject, corpus = Subject.load(settings.model), Corpus.load()
    schedule = Schedule(
        steps=settings.steps,
        optimizer=settings.optimizer,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seq_len=settings.seq_len,
        kinds=INITIAL_KINDS | CHANGE_KINDS,
    )
    cpu = torch.device("cpu")
    return [
        list(train(subject, corpus, schedule, width=width, seed=seed, stream=seed, device=cpu))
        for width, seed in settings.points(settings.looks[-1])
    ]


def write_and_read(what: str, swept: list[list[Frame]]) -> None:
    """Print the size of a recording, and the seconds to write and to read it."""
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        recording = Recording.create(Path(folder), command=what, settings={}, environment={})
        for frames in swept:
            recording.append(*frames)
        written = time.perf_counter()
        Recording.load(Path(folder))
        read = time.perf_counter()
        megabytes = (Path(folder) / Recording.FILE).stat().st_size / 1e6
    print(
        f"{what:10}: {megabytes:5.1f} MB, written in {written - start:5.2f} s, "
        f"read in {read - written:5.2f} s"
    )


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference_model:umup")
    settings = resolve(CoordcheckSettings(model=parser.parse_args().model))
    start = time.perf_counter()
    swept = runs(settings)
    print(f"{len(swept)} runs trained and recorded in {time.perf_counter() - start:.1f} s")
    for _ in range(3):
        write_and_read("histograms", swept)
        write_and_read("moments", [[frame.in_moments() for frame in run] for run in swept])


if __name__ == "__main__":
    main()
