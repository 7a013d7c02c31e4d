"""How often two processes that train together leave cleanly: the same DDP loop bare and recorded.

    python -m benchmarks.clean_exits [--runs 200] [--pause 0.2] [--patience 20] [--whole-exit]

torch can hang in the destructor of a gloo group: it waits for a thread while it holds the lock of
the interpreter, which that thread needs to free the tensors of DDP's last all-reduce. Recording
must not make that more frequent, nor lose a snapshot by it. The loop ends with a recorded step,
so that whatever recording does is the last that happens before ``destroy_process_group``; a pause
before that gives every thread the time to end what it does. A run is two forks of this process;
one that is not gone after `patience` hangs, and is killed. The group's destructor has run when
the loop has returned, so a fork then leaves at once; with ``--whole-exit`` it goes through the
interpreter's own end as well.
"""

import argparse
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import umup_diag
import umup_diag.measure.live
from umup_diag.errors import InputError
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Recording

WORLD, STEPS, EVERY = 2, 3, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to run the loop.

    Attributes:
        is_recorded: with `umup_diag.record` around it.
        pause: seconds between the loop and ``destroy_process_group``.
    """

    is_recorded: bool
    pause: float


def cases(pause: float) -> dict[str, Case]:
    """The four, by name."""
    return {
        "bare": Case(is_recorded=False, pause=0),
        "bare+pause": Case(is_recorded=False, pause=pause),
        "recorded": Case(is_recorded=True, pause=0),
        "recorded+pause": Case(is_recorded=True, pause=pause),
    }


def train(rank: int, port: int, case: Case, folder: Path) -> None:
    """What one of the processes does."""
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORLD
    )
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(16, 31), nn.ReLU(), nn.Linear(31, 16))
    model = DistributedDataParallel(layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    recording = umup_diag.record(model, every=EVERY, to=folder)
    with recording if case.is_recorded else nullcontext():
        for step in range(STEPS):
            random = torch.Generator().manual_seed(100 * step + rank)
            model(torch.randn(4, 16, generator=random)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    time.sleep(case.pause)
    dist.destroy_process_group()


def outcomes(case: Case, folder: Path, patience: float, *, is_whole_exit: bool) -> list[str]:
    """Of one run: what became of the processes, and whether a snapshot is missing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(WORLD):
        child = os.fork()
        if not child:  # no context manager is open here or above, so that none is left twice
            try:
                train(rank, port, case, folder)
                gc.collect()
            except BaseException:  # it must not unwind into whoever forked
                traceback.print_exc()
                os._exit(1)
            if is_whole_exit:
                sys.exit()
            os._exit(0)
        children.append(child)
    ends = _ends(children, patience)
    found = ["hang" if None in ends else "failed" if any(ends) else "clean"]
    if case.is_recorded and _steps(folder) != list(range(0, STEPS, EVERY)):
        found.append("lost")
    return found


def count(case: Case, runs: int, patience: float, *, is_whole_exit: bool = False) -> Counter[str]:
    """Of that many runs, how many of each outcome."""
    found: Counter[str] = Counter()
    for _ in range(runs):
        folder = Path(tempfile.mkdtemp())
        found.update(outcomes(case, folder, patience, is_whole_exit=is_whole_exit))
        shutil.rmtree(folder)
    return found


def prepare() -> None:
    """Before the first fork: what each child would have to do again."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    CodeHistogram.of(torch.randn(64))  # loads the compiled loops
    import_module("torch._dynamo")  # which DDP imports


def _ends(children: list[int], patience: float) -> list[int | None]:
    """Exit codes, in any order; None for each that had to be killed."""
    ends: list[int | None] = []
    until = time.monotonic() + patience
    waiting = set(children)
    while waiting and time.monotonic() < until:
        for child in list(waiting):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                ends.append(os.waitstatus_to_exitcode(status))
                waiting.remove(child)
        time.sleep(0.005)
    for child in waiting:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        ends.append(None)
    return ends


def _steps(folder: Path) -> list[int | None]:
    try:
        return [frame.step for frame in Recording.load(folder).frames]
    except InputError:
        return []


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds")
    parser.add_argument("--patience", type=float, default=20, help="seconds")
    parser.add_argument("--cases", nargs="+", choices=list(cases(0)), default=list(cases(0)))
    parser.add_argument("--whole-exit", action="store_true")
    options = parser.parse_args()
    prepare()
    print(
        f"torch {torch.__version__}, {options.runs} runs each, pause {options.pause} s", flush=True
    )
    print(f"{'':16}{'clean':>8}{'hang':>8}{'failed':>8}{'lost a snapshot':>18}", flush=True)
    for name in options.cases:
        found = count(
            cases(options.pause)[name],
            options.runs,
            options.patience,
            is_whole_exit=options.whole_exit,
        )
        print(
            f"{name:16}{found['clean']:8}{found['hang']:8}{found['failed']:8}{found['lost']:18}",
            flush=True,
        )


if __name__ == "__main__":
    main()
