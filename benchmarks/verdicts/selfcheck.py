"""Is the benchmark itself right? Measured without umup-diag's own measurement and verdict.

``python -m benchmarks.verdicts.selfcheck [PATTERN] [--split dev]``

For every tensor and the first and third update, −⟨∂L/∂p, Δp⟩ is measured at each width, and the
slope of its log2 over log2 width printed where it leaves ±0.25. In a correct µP model it is 0,
whatever the architecture and the optimizer; what a family is known to do otherwise is in its
`expected`.
"""

import argparse
from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import nan

import numpy as np
import torch

from benchmarks.verdicts.case import Case
from benchmarks.verdicts.recipe import named_parameters
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.scaling import optimizers

UPDATES = (1, 3)
Shares = dict[tuple[str, int], float]


def optimizer_of(
    subject: Subject, model: torch.nn.Module, asked: str | None
) -> torch.optim.Optimizer:
    """What the coord check would train the model with."""
    if asked is None:
        assert subject.optimizer is not None
        return subject.optimizer(model)
    _, lr = subject.choose_optimizer(asked, None)
    assert lr is not None
    groups = subject.groups(model, optimizer=asked, lr=lr)
    return optimizers.get(asked).build(groups)


def loss_changes(case: Case, *, width: int, seed: int, corpus: Corpus) -> Shares:
    """−⟨∂L/∂p, Δp⟩ for each tensor at each of `UPDATES`, by (tensor, update)."""
    subject = case.subject()
    torch.manual_seed(seed)
    model = subject.model(width)
    batch = subject.batch(corpus, batch_size=4, seq_len=8, seed=seed)
    optimizer = optimizer_of(subject, model, case.asked)
    found: Shares = {}
    for update in range(1, max(UPDATES) + 1):
        optimizer.zero_grad()
        subject.loss(model, batch).backward()
        named = [(tensor, p) for tensor, _, p in named_parameters(model) if p.grad is not None]
        before = [(p.detach().clone(), p.grad.clone()) for _, p in named if p.grad is not None]
        optimizer.step()
        if update in UPDATES:
            for (tensor, parameter), (old, gradient) in zip(named, before, strict=True):
                change = parameter.detach() - old
                found[tensor, update] = -float((gradient * change).double().sum())
    return found


def slopes(case: Case, *, seeds: int, corpus: Corpus) -> dict[tuple[str, int], tuple[float, ...]]:
    """(slope, its standard deviation over seeds, size at the base) for each tensor and update."""
    runs = {
        (width, seed): loss_changes(case, width=width, seed=seed, corpus=corpus)
        for width in case.widths
        for seed in range(seeds)
    }
    x = np.log2(case.widths)
    found: dict[tuple[str, int], tuple[float, ...]] = {}
    for key in runs[case.widths[0], 0]:
        fits = []
        for seed in range(seeds):
            y = [runs[width, seed].get(key, nan) for width in case.widths]
            if min(y) > 0:
                fits.append(float(np.polyfit(x, np.log2(y), 1)[0]))
        size = float(np.median([runs[case.widths[0], seed].get(key, nan) for seed in range(seeds)]))
        mean, spread = (float(np.mean(fits)), float(np.std(fits))) if fits else (nan, nan)
        found[key] = (mean, spread, size)
    return found


def odd(case: Case, tensor: str, slope: float) -> bool:
    """Whether a slope is not what the family is expected to show."""
    low, high = -0.25, 0.25
    for pattern, bounds in case.expected.items():
        if fnmatchcase(tensor, pattern):
            low, high = bounds
    return not low <= slope <= high


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is out of bounds."""
    from benchmarks.verdicts.manifest import cases

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--split")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--faults", action="store_true", help="faults instead of healthy cases")
    parser.add_argument("--all", action="store_true", help="print every tensor")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    corpus = Corpus.load()
    for case in cases(split=options.split):
        if case.healthy is options.faults or not fnmatchcase(case.name, options.pattern):
            continue
        found = slopes(case, seeds=options.seeds, corpus=corpus)
        shown = {
            key: value
            for key, value in found.items()
            if options.all or (value[2] and odd(case, key[0], value[0]))
        }
        print(f"{case.name}: {len(found)} slopes, {len(shown)} shown", flush=True)
        for (tensor, update), (mean, spread, size) in shown.items():
            print(f"    {tensor:40} update {update}  {mean:+.2f} ({spread:.2f})  {size:.1e}")


if __name__ == "__main__":
    main()
