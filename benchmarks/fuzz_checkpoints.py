"""Mutate small checkpoints and open them: each must be read, or refused with one clear error.

    python benchmarks/fuzz_checkpoints.py [--files 10000] [--seed 0]

Every mutated file is opened, selected from and counted in this process, as ``umup-diag fp8-range``
does. Anything but success or an `InputError` of at most two lines is a failure and is kept; a crash
of the interpreter ends the run. Exit code 0 if there is none.
"""

import argparse
import random
import resource
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from tests.planted import SAVERS
from umup_diag.errors import InputError
from umup_diag.measure.checkpoint.checkpoint import select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan

Mutation = Callable[[random.Random, bytearray], bytearray]


def flip(dice: random.Random, raw: bytearray) -> bytearray:
    """A few bits."""
    for _ in range(dice.choice((1, 2, 8, 64))):
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return raw


def near_the_start(dice: random.Random, raw: bytearray) -> bytearray:
    """Bytes of what headers are made of."""
    for _ in range(dice.choice((1, 3, 10))):
        raw[dice.randrange(min(len(raw), 600))] = dice.randrange(256)
    return raw


def near_the_end(dice: random.Random, raw: bytearray) -> bytearray:
    """Bytes of a zip's directory."""
    for _ in range(dice.choice((1, 3, 10))):
        raw[-1 - dice.randrange(min(len(raw), 1500))] = dice.randrange(256)
    return raw


def cut(dice: random.Random, raw: bytearray) -> bytearray:
    """The end is missing."""
    return raw[: dice.randrange(len(raw))]


def remove(dice: random.Random, raw: bytearray) -> bytearray:
    """A piece is missing."""
    start = dice.randrange(len(raw))
    del raw[start : start + dice.randrange(1, 200)]
    return raw


def repeat(dice: random.Random, raw: bytearray) -> bytearray:
    """A piece is there twice."""
    start = dice.randrange(len(raw))
    piece = raw[start : start + dice.randrange(1, 200)]
    raw[start:start] = piece
    return raw


def extreme(dice: random.Random, raw: bytearray) -> bytearray:
    """A number is as large as it can be, or zero."""
    width = dice.choice((1, 2, 4, 8))
    start = dice.randrange(max(1, len(raw) - width))
    raw[start : start + width] = dice.choice((b"\xff", b"\x7f", b"\0")) * width
    return raw


def digit(dice: random.Random, raw: bytearray) -> bytearray:
    """A digit of a JSON header or index."""
    digits = [at for at in range(min(len(raw), 2000)) if 48 <= raw[at] < 58]
    if digits:
        raw[dice.choice(digits)] = dice.choice(b"0123456789-.e[")
    return raw


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, near_the_start, near_the_end, cut, remove, repeat, extreme, digit),
)


def outcome(path: Path) -> str:
    """``read`` or ``refused``.

    Raises:
        AssertionError: if the error is not one or two lines.
        Exception: whatever should have been an InputError.
    """
    try:
        scan(select(open_checkpoint(path), include=["*"]).tensors)
    except InputError as error:
        lines = len(str(error).splitlines())
        if not 0 < lines <= 2:
            raise AssertionError(f"an error of {lines} lines") from error
        return "refused"
    return "read"


def main() -> int:
    """Run, and print how many files were read, refused, or failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    content = {
        "a.weight": torch.randn(24, 24).bfloat16(),
        "b.weight": torch.randn(8, 9),
        "c": torch.zeros(3),
    }
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        targets = []
        for saver, save in SAVERS.items():
            (folder := Path(name) / saver).mkdir()
            path = save(folder, content)
            files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file())
            targets += [(path, file, file.read_bytes()) for file in files]
        for number in range(asked.files):
            path, file, whole = dice.choice(targets)
            mutate = dice.choice(MUTATIONS)
            mutated = mutate(dice, bytearray(whole))
            file.write_bytes(mutated)
            try:
                counts[outcome(path)] += 1
            except Exception:
                counts["failed"] += 1
                kept = Path(f"fuzz-{number}-{file.name.lstrip('.')}")
                kept.write_bytes(mutated)
                print(f"{kept} ({mutate.__name__} of {path.name}):", file=sys.stderr)
                traceback.print_exc()
            file.write_bytes(whole)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{asked.files} files, seed {asked.seed}: {dict(counts)}; at most {memory:.0f} MiB")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
