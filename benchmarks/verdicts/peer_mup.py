"""What the `mup` package's own coord check says of the same models.

``python -m benchmarks.verdicts.peer_mup [--split dev] [--only PATTERN] [--out mup.jsonl]``

Needs the `mup` package, which this project does not depend on: ``pip install --no-deps mup``.

`mup.coord_check` gives no verdict: it draws the mean |x| of each module's output over width, one
picture for each of three steps (the first of them before any update), and whoever looks at it
decides. Its README asks for curves that do not grow with width, allows the output and the attention
logits to fall at init, and asks for a larger learning rate than one would train with. Read by rule:

- *suspicious*: at one of the steps some module's output grows faster than width^0.15;
- *named*: the module that grows fastest, at the first step where any does. It is right if it is at
  fault or is the parent of what is;
- *uneven*: a stricter reader, to whom a fall faster than width^-0.15 is suspicious too.

It is given all that it can take: the case's own model, optimizer, loss and batch, at twice the
rates (which makes them mup's own defaults, 1e-3 for Adam and about 0.1 for SGD), and five seeds. It
has no gradients, no updates, no interval and no cause.

Each case's outcome is appended to the file as one line of JSON; those that stand there are not run
again.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from mup.coord_check import _get_coord_data
from torch import Tensor, nn

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.manifest import cases
from benchmarks.verdicts.selfcheck import optimizer_of
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject

STEPS, SEEDS, FASTER, GROWS = 3, 5, 2.0, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one would read off mup's plots.

    Attributes:
        suspicious: whether a curve grows.
        module: the one that grows fastest, at the first step that has one; empty if none.
        slope: of its mean |x|.
        step: 1 is before any update.
        uneven: whether a curve grows or falls.
        error: what was raised, if anything.
    """

    suspicious: bool = False
    module: str = ""
    slope: float = 0.0
    step: int = 0
    uneven: bool = False
    error: str = ""


class WithLoss(nn.Module):
    """A model that returns its loss, as `mup.coord_check` wants of one with inputs of its own kind.

    The hooks sit on the wrapped model's modules, whose names get a prefix.
    """

    def __init__(self, subject: Subject, model: nn.Module) -> None:
        super().__init__()
        self.subject, self.model = subject, model

    def forward(self, batch: object) -> tuple[Tensor]:
        """The loss, in a tuple."""
        return (self.subject.loss(self.model, batch),)


def read(case: Case, corpus: Corpus) -> Reading:
    """Run mup's coord check on a case."""
    subject = case.subject()
    batch = subject.batch(corpus, batch_size=4, seq_len=8, seed=0)
    models = {
        width: lambda width=width: WithLoss(subject, subject.model(width)) for width in case.widths
    }
    try:
        data = _get_coord_data(
            models,
            [{"batch": batch}],
            lambda wrapped: _faster(optimizer_of(subject, wrapped.model, case.asked)),
            nsteps=STEPS,
            dict_in_out=True,
            cuda=False,
            nseeds=SEEDS,
            filter_module_by_name=lambda name: name.startswith("model."),
            show_progress=False,
        )
    except Exception as error:  # a crash is an answer too
        return Reading(error=f"{type(error).__name__}: {error}")
    uneven = False
    grown: tuple[str, float, int] | None = None
    for step in range(1, STEPS + 1):
        now = data[data.t == step]
        mean = now.groupby(["module", "width"]).l1.mean().unstack()
        slopes = {
            module.removeprefix("model."): float(
                np.polyfit(np.log2(mean.columns.to_numpy(float)), np.log2(row.to_numpy()), 1)[0]
            )
            for module, row in mean.iterrows()
            if (row > 0).all()
        }
        module = max(slopes, key=slopes.__getitem__)
        uneven |= any(abs(slope) > GROWS for slope in slopes.values())
        if grown is None and slopes[module] > GROWS:
            grown = module, round(slopes[module], 3), step
    if grown is None:
        return Reading(uneven=uneven)
    module, slope, step = grown
    return Reading(suspicious=True, module=module, slope=slope, step=step, uneven=uneven)


def _faster(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    for group in optimizer.param_groups:
        group["lr"] *= FASTER
    return optimizer


def module_is_right(case: Case, module: str) -> bool:
    """Whether a module (``layer:out[0]`` for one of several outputs) is at fault, or holds it."""
    assert case.fault is not None
    name = module.partition(":")[0]
    return any(
        fnmatchcase(name, pattern) or fnmatchcase(name, pattern.rpartition(".")[0])
        for pattern in case.fault.tensors + case.fault.also
        if name
    )


def column(found: Sequence[tuple[Case, Reading]]) -> str:
    """mup's figures for some cases, in a line."""
    count: Counter[str] = Counter()
    for case, reading in found:
        if case.healthy:
            count["healthy"] += 1
            count["false"] += reading.suspicious
            count["uneven"] += reading.uneven
            count["healthy error"] += bool(reading.error)
        elif case.fault and not case.fault.invisible:
            count["faults"] += 1
            count["detected"] += reading.suspicious
            count["fault uneven"] += reading.uneven
            count["named"] += reading.suspicious and module_is_right(case, reading.module)
            count["error"] += bool(reading.error)
    return (
        f"healthy {count['healthy']:3}: {count['false']:3} suspicious {count['uneven']:3} uneven "
        f"{count['healthy error']:2} error   faults {count['faults']:3}: {count['detected']:3} "
        f"suspicious {count['named']:3} named right {count['fault uneven']:3} uneven "
        f"{count['error']:2} error"
    )


def read_all(path: Path) -> Mapping[str, Reading]:
    """What stands in a file, by case; nothing if there is none."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line.pop("name"): Reading(**line) for line in lines}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--split", choices=[str(split) for split in Split], default="dev")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of names")
    parser.add_argument("--out", type=Path, default=Path("mup.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [case for case in cases(options.split) if fnmatchcase(case.name, options.only)]
    corpus, known = Corpus.load(), read_all(options.out)
    with options.out.open("a") as out:
        for case in chosen:
            if case.name not in known:
                reading = read(case, corpus)
                out.write(json.dumps({"name": case.name, **asdict(reading)}) + "\n")
                out.flush()
                said = reading.error or f"{reading.module} {reading.slope}".strip()
                print(f"{case.name}: {said}", flush=True)
    found = [(case, read_all(options.out)[case.name]) for case in chosen]
    print(f"\n  {'all':18} {column(found)}")
    for family in dict.fromkeys(case.family for case, _ in found):
        print(f"  {family:18} {column([pair for pair in found if pair[0].family == family])}")


if __name__ == "__main__":
    main()
