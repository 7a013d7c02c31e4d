"""Damage small files of every kind that is read, and read them: read, or refused in a line or two.

    python -m benchmarks.fuzz_files [--files 20000] [--seed 0]

Checkpoints of five kinds, indices, recordings and plans, damaged in their bytes and in their
structure. Each is read in this process as the commands do: a checkpoint is opened and counted, a
recording loaded, judged and written as JSON, a plan parsed and looked over. Anything but success or
an `InputError` of at most two lines is a failure, and so is one that takes longer than the limit;
the file is kept. A crash of the interpreter, or a minute, ends the run. Exit code 0 if none failed.
"""

import argparse
import faulthandler
import io
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks import fuzz_mutations as mutations
from benchmarks.fuzz_mutations import Mutation
from tests.planted import SAVERS
from umup_diag import record
from umup_diag.checks import CHECKS
from umup_diag.checks.fp8_range import FP8_RANGE
from umup_diag.checks.fp8_range.settings import FileRangeSettings
from umup_diag.errors import InputError
from umup_diag.measure.checkpoint.checkpoint import select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan
from umup_diag.measure.workplace import Workplace
from umup_diag.plans import gate
from umup_diag.report import json

LIMIT_SECONDS = 5.0
PLANS = {
    "unit.toml": 'check = "unit-scale"\nmodel = "reference_model:umup"\nwidth = [64, 128]\n'
    'description = "x"\nbuild = {depth = 2}\ntolerance = 1.5\n\n[[exceptions]]\ntensor = "head"\n'
    'kind = "output"\nrange = [0.0, 0.2]\nreason = "small"\n',
    "coord.toml": 'check = "coordcheck"\nmodel = "reference_model"\nwidths = "128..512"\n'
    'optimizer = "adam"\nlr = 0.001\nseeds = 2\nout = "reports/x"\n',
    "range.toml": 'check = "fp8-range"\nmodel = "reference_model:umup"\nwidth = 64\nsteps = 20\n'
    'include = ["*"]\nformats = "e4m3fn,e5m2"\nstrict = true\nnear = 0.5\n',
    "law.toml": 'check = "scale-law"\nop = "attention"\nover = {alpha = "1/8..8", s = [64, 128]}\n'
    "causal = false\ntolerance = 0.1\n",
    "pyproject.toml": "[tool.umup-diag]\nseed = 1\n\n[tool.umup-diag.coordcheck]\nseeds = 3\n"
    'widths = "128..256"\n',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A file to damage, and how what it belongs to is read.

    Attributes:
        kind: of what it belongs to.
        file: to damage.
        whole: its bytes.
        read: reads what it belongs to.
        structural: the mutations that know its structure.
    """

    kind: str
    file: Path
    whole: bytes
    read: Callable[[], None]
    structural: tuple[Mutation, ...]


def read_checkpoint(path: Path) -> None:
    """Open, select and count, as ``umup-diag fp8-range`` does."""
    FileRangeSettings(sources=(path,)).precheck()
    scan(select(open_checkpoint(path), include=["*"]).tensors)


def read_recording(folder: Path) -> None:
    """Load, judge, and write the result as JSON."""
    settings = FileRangeSettings(sources=(folder,))
    settings.precheck()
    result = FP8_RANGE.judge(FP8_RANGE.measure(settings, Workplace(out=folder)), settings)
    json.dumps(result).encode()


def read_plan(path: Path) -> None:
    """Parse, and look over the settings."""
    gate.read(path, CHECKS).settings.precheck()


def read_defaults(folder: Path) -> None:
    """The defaults in a pyproject.toml, with a plan that has none of its own."""
    from umup_diag.plans import files
    from umup_diag.plans.plan import parse_defaults

    if document := files.pyproject(folder):
        parse_defaults(document, CHECKS)


def in_archive(dice: random.Random, raw: bytes) -> bytes:
    """The pickle inside a file of torch's."""
    with zipfile.ZipFile(io.BytesIO(raw)) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
        for name, content in members:
            if name.endswith("/data.pkl"):
                content = mutations.pickled(dice, content)
            new.writestr(name, content)
    return buffer.getvalue()


def _structural(file: Path) -> tuple[Mutation, ...]:
    match file.suffix:
        case ".safetensors":
            return (mutations.safetensors_header,)
        case ".json":
            return (mutations.json_document,)
        case ".jsonl":
            return (mutations.json_lines,)
        case ".toml":
            return (mutations.toml,)
        case ".pt":
            return (in_archive,) if file.read_bytes()[:2] == b"PK" else ()
        case _:
            return (mutations.pickled,) if file.name == ".metadata" else ()


def targets(folder: Path) -> Iterator[Target]:
    """Small files of every kind."""
    content = {
        "a.weight": torch.randn(24, 24).bfloat16(),
        "b.weight": torch.randn(8, 9),
        "c": torch.zeros(3),
    }
    for saver, save in SAVERS.items():
        (own := folder / saver).mkdir()
        path = save(own, content)
        files = [path] if path.is_file() else sorted(each for each in path.iterdir())
        for file in files:
            yield _target(saver, file, partial(read_checkpoint, path))
    run = folder / "run"
    model = nn.Sequential(nn.Linear(8, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, every=1, to=run):
        for _ in range(3):
            model(torch.randn(4, 8)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    yield _target("recording", run / "recording.jsonl", partial(read_recording, run))
    for name, text in PLANS.items():
        (own := folder / name.removesuffix(".toml")).mkdir()
        file = own / name
        file.write_text(text)
        if name == "pyproject.toml":
            yield _target("defaults", file, partial(read_defaults, own))
        else:
            yield _target("plan", file, partial(read_plan, file))


def _target(kind: str, file: Path, read: Callable[[], None]) -> Target:
    return Target(
        kind=kind, file=file, whole=file.read_bytes(), read=read, structural=_structural(file)
    )


def outcome(read: Callable[[], None]) -> str:
    """``read`` or ``refused``.

    Raises:
        AssertionError: if the error is not one or two lines of text.
        Exception: whatever should have been an InputError.
    """
    try:
        read()
    except InputError as error:
        text = str(error)
        text.encode(errors="backslashreplace")
        if not 0 < len(text.splitlines()) <= 2 or len(text) > 2000:
            raise AssertionError(f"an error of {len(text)} characters: {text[:300]}") from error
        return "refused"
    return "read"


def main() -> int:
    """Run, and print how many files were read, refused, or failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    counts: Counter[tuple[str, str]] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        every = list(targets(Path(name)))
        kinds = sorted({target.kind for target in every})
        for target in every:
            target.read()  # whole files are read; the first also compiles
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        for number in range(asked.files):
            kind = dice.choice(kinds)
            target = dice.choice([each for each in every if each.kind == kind])
            known = target.structural and dice.random() < 0.7
            mutate = dice.choice(target.structural if known else mutations.BYTES)
            damaged = mutate(dice, target.whole)
            target.file.write_bytes(damaged)
            faulthandler.dump_traceback_later(60, exit=True)
            start = time.perf_counter()
            try:
                said = outcome(target.read)
            except Exception:
                said = "failed"
                traceback.print_exc()
            seconds = time.perf_counter() - start
            faulthandler.cancel_dump_traceback_later()
            slowest = max(slowest, seconds)
            if seconds > LIMIT_SECONDS:
                said = "failed"
            if said == "failed":
                kept = Path(f"fuzz-{number}-{target.kind}-{target.file.name.lstrip('.')}")
                kept.write_bytes(damaged)
                print(f"{kept} ({mutate.__name__}): {seconds:.1f} s", file=sys.stderr)
            counts[kind, said] += 1
            target.file.write_bytes(target.whole)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for kind in kinds:
        print(f"{kind:12}", *(f"{said} {counts[kind, said]:5}" for said in ("read", "refused")))
    failed = sum(count for (_, said), count in counts.items() if said == "failed")
    print(
        f"{asked.files} files, seed {asked.seed}: {failed} failed; slowest {slowest:.2f} s, "
        f"memory rose from {begin:.0f} to {memory:.0f} MiB at most"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
