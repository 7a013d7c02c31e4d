"""Regenerate ``reports/``: ``python -m reports.make`` for all, or name parts.

Parts:
    slopes: measured against predicted slopes, four schemes × two optimizers (reports/slopes).
    muon_slopes: the same under Muon and Muon-Kimi, and of operator norms (reports/slopes); tens of
        minutes.
    depth: measured against predicted slopes over depth (reports/depth); ten minutes.
    coordcheck: the coord check of each scheme (reports/coordcheck).
    fp8_training: loss curves under a plain cast to FP8 (reports/fp8_training); minutes.
    fp8_recipes: which tensors need a scale before the cast, in µP and u-µP (reports/fp8_recipes);
        minutes.
    end_scales: what moves the scale of tensors at the end of training (reports/end_scales).
    transfer: does the learning rate transfer over width, in SP, µP and u-µP (reports/transfer).
    shapes: and over steps, batch size and depth (reports/shapes).
    embedding_rate: what the rule for the embedding's rate does (reports/embedding_rate).
    coupling: can hyperparameters be tuned one by one (reports/coupling).
    search: tuning one by one against random search (reports/search).
        These five take minutes each, and go on where they were interrupted.
    scale_law: the laws of attention and gated SiLU (reports/scale_law); minutes to tens of minutes.
    pictures: those whose results are kept, drawn again from them; seconds.
    screenshots: of pages (docs/pages), in a Chromium; a minute.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from reports import depth as over_depth
from reports import end_scales, fp8_training
from reports import fp8_recipes as recipes_compared
from reports.redraw import redraw
from reports.screenshots import screenshots
from reports.sweeps import SWEEPS, write_sweep
from umup_diag.checks.coordcheck.evidence import Evidence
from umup_diag.checks.coordcheck.measure import resolve, sweep
from umup_diag.checks.coordcheck.over_width import WidthMeasuring
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.coordcheck.spectral import NORMS
from umup_diag.checks.coordcheck.trend import trend
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.recorder import CHANGE_KINDS
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import INITIAL_KINDS
from umup_diag.recording import Recording
from umup_diag.report.style import signed
from umup_diag.scaling import optimizers, schemes
from umup_diag.scaling.kinds import Kind, kind_order
from umup_diag.scaling.predictions import Prediction, WidthTheory
from umup_diag.scaling.roles import Role

HERE = Path(__file__).parent
SCHEMES = ("sp", "ntk", "mup", "umup")
OPTIMIZERS = ("adam", "sgd")
WIDTHS, SEEDS, TOLERANCE = (128, 256, 512, 1024, 2048), 6, 0.1
#: Muon multiplies matrices in bfloat16, for which most CPUs have no instruction.
MUON_WIDTHS, MUON_SEEDS = (64, 128, 256, 512), 3
MUON_RUNS = (
    ("spectral", "muon"),
    ("spectral", "muon-kimi"),
    ("spectral", "adamw"),
    ("spectral", "sgd"),
    ("sp", "muon-kimi"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table.

    Attributes:
        scheme: of the model.
        optimizer: it is trained with.
        kind: of the tensors.
        role: of the tensors.
        prediction: of their slope.
        every: slope of each tensor over all widths, mean over seeds.
        upper: the same over the upper three widths.
    """

    scheme: str
    optimizer: str
    kind: Kind
    role: Role
    prediction: Prediction
    every: tuple[float, ...]
    upper: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Whether the upper widths are within 0.1 of the predicted slope.

        What theory says converges too slowly for these widths, or depends on the batch, is to lie
        between the two terms that it is the sum of.
        """
        is_readouts_change = (self.kind, self.role) == (Kind.OUTPUT_CHANGE, Role.OUTPUT)
        slow = is_readouts_change or self.kind in (Kind.WEIGHT_NORM, Kind.UPDATE)
        slowest = self.prediction.slowest if slow else self.prediction.slope
        upper = float(np.mean(self.upper))
        return slowest - TOLERANCE <= upper <= self.prediction.slope + TOLERANCE

    def __str__(self) -> str:
        expected = f"{self.prediction.slope:+.2f}"
        if self.prediction.slowest < self.prediction.slope:
            expected = f"{self.prediction.slowest:+.2f}…{expected}"
        spread = f"{min(self.upper):+.2f}…{max(self.upper):+.2f}" if len(self.upper) > 1 else ""
        means = " | ".join(signed(float(np.mean(each))) for each in (self.every, self.upper))
        cells = (self.scheme, self.optimizer, self.kind, self.role, expected)
        agrees = "yes" if self.agrees else "**no**"
        return f"| {' | '.join(cells)} | {means} | {spread} | {agrees} |"


def lines(
    scheme: str,
    optimizer: str,
    *,
    widths: tuple[int, ...] = WIDTHS,
    seeds: int = SEEDS,
    spectral: bool = False,
) -> Iterator[Line]:
    """Measure one scheme under one optimizer: init, then the first update."""
    settings = CoordcheckSettings(
        model=f"reference_model:{scheme}",
        widths=widths,
        seeds=seeds,
        spectral=spectral,
        steps=1,
        optimizer=optimizer,
        batch_size=2,
        seq_len=8,
        target=scheme,
        device="cpu",
    )
    settings = resolve(settings)
    recording = Recording(command="coordcheck", settings=settings.encode(), environment={})
    sweep(
        Subject.load(settings.model),
        Corpus.load(),
        settings,
        recording,
        device=torch.device("cpu"),
        kinds=INITIAL_KINDS | CHANGE_KINDS,
    )
    evidence = Evidence.of(recording)
    theory = WidthTheory(
        scheme=schemes.get(scheme), update_rule=optimizers.get(optimizer).update_rule
    )
    measuring = WidthMeasuring(evidence, theory.scheme, true_gradient=False)
    groups: dict[tuple[Kind, Role], list[tuple[float, float]]] = {}
    for (tensor, kind, _), values in evidence.values.items():
        facts = evidence.facts.get(tensor)
        role = Role.HIDDEN if kind is Kind.ATTENTION_LOGITS else facts.role if facts else None
        upper = {seed: {w: each[w] for w in widths[-3:]} for seed, each in values.items()}
        found, found_upper = trend(values), trend(upper)
        if role and found and found_upper:
            if kind in NORMS:  # of the tensor alone; what is predicted has its layer's constants
                constants = measuring.multiplier(tensor)
                assert constants is not None
                found, found_upper = found + constants, found_upper + constants
            groups.setdefault((kind, role), []).append((found.slope, found_upper.slope))
    for (kind, role), slopes in sorted(groups.items(), key=lambda item: kind_order(item[0][0])):
        if prediction := theory.predict(kind, role):
            yield Line(
                scheme=scheme,
                optimizer=optimizer,
                kind=kind,
                role=role,
                prediction=prediction,
                every=tuple(every for every, _ in slopes),
                upper=tuple(upper for _, upper in slopes),
            )


def slopes() -> None:
    """Write reports/slopes/slopes.md."""
    table = [
        line for scheme in SCHEMES for optimizer in OPTIMIZERS for line in lines(scheme, optimizer)
    ]
    _write_slopes(
        "slopes",
        table,
        title="Slopes over width: predicted and measured",
        runs=f"widths {', '.join(map(str, WIDTHS))}, {SEEDS} seeds",
        remark="Under SGD, u-µP's hidden output change still leans "
        "towards its slowest term at these widths: the gradients of queries and keys are so small "
        "that what the embedding changes carries theirs.",
    )


def muon_slopes() -> None:
    """Write reports/slopes/muon_slopes.md."""
    _write_slopes(
        "muon_slopes",
        [
            line
            for run in MUON_RUNS
            for line in lines(*run, widths=MUON_WIDTHS, seeds=MUON_SEEDS, spectral=True)
        ],
        title="Slopes over width under Muon, and of operator norms",
        runs=f"widths {', '.join(map(str, MUON_WIDTHS))}, {MUON_SEEDS} seeds",
        remark="`weight_norm` and `update_norm` are RMS operator norms, √(fan-in/fan-out)·‖A‖₂, "
        "times the layer's multipliers. Muon trains hidden matrices, AdamW the rest; the RMS of "
        "its update is that of a gradient of as many directions as the batch has tokens, not of "
        "full rank. A readout's update leads the further along one direction the flatter the "
        "softmax starts, so its norm still grows at these widths.",
    )


def _write_slopes(part: str, table: list[Line], *, title: str, runs: str, remark: str) -> None:
    agree = sum(line.agrees for line in table)
    head = (
        f"# {title}\n\n"
        f"`python -m reports.make {part}`\n\n"
        f"Reference Llama, 2 layers, head size 64, {runs}, one batch of 16 bytes of text. Slopes "
        "of log2 RMS against log2 width: at init, and "
        "of update and output change after the first update. *All* and *upper* are means over "
        "the tensors of a role, fitted over all widths and over the upper three; *tensors* is the "
        "range of the latter. A prediction written as a range is a sum of powers, from its slowest "
        "to its dominant term. A row agrees when *upper* is within "
        f"±{TOLERANCE} of the dominant term; what theory says "
        "converges too slowly for these widths, or depends on the batch (the readout's output "
        "change, a matrix's initial norm where one fan stays, an update under Muon), when it lies "
        f"within the range. **{agree} of {len(table)} agree.** {remark}\n\n"
        "| scheme | optimizer | kind | role | predicted | all | upper | tensors | agrees |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    out = HERE / "slopes" / f"{part}.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text(head + "\n".join(map(str, table)) + "\n")
    print(f"{out}: {agree} of {len(table)} agree")


def _keep_small(out: Path) -> None:
    """Leave the result and the pictures; the rest is made from them, or takes megabytes."""
    for path in (out / "recording.jsonl", out / "report.html", *out.glob("*.svg")):
        path.unlink()


def coordcheck() -> None:
    """Write reports/coordcheck/<scheme>: the result and the picture, without the recording."""
    for scheme in (*SCHEMES, "depth_mup"):
        out = HERE / "coordcheck" / scheme
        command = [sys.executable, "-m", "umup_diag.cli", "coordcheck", "-q", "--out", str(out)]
        done = subprocess.run([*command, "--model", f"reference_model:{scheme}"], check=False)
        _keep_small(out)
        print(f"{out}: exit {done.returncode}")


def depth() -> None:
    """Write reports/depth: slopes over depth of schemes under optimizers."""
    with TemporaryDirectory() as scratch:
        over_depth.record(Path(scratch))
        over_depth.tell(Path(scratch), HERE / "depth")


def scale_law() -> None:
    """Write reports/scale_law/<op>: the result, the pictures, and the table as report.txt."""
    for op in ("gated-silu", "attention"):
        out = HERE / "scale_law" / op
        command = [sys.executable, "-m", "umup_diag.cli", "scale-law", op, "--out", str(out)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        (out / "report.txt").write_text(done.stdout)
        _keep_small(out)
        print(f"{out}: exit {done.returncode}")


def fp8_recipes() -> None:
    """Write reports/fp8_recipes: what each recipe makes of µP's and u-µP's tensors."""
    with TemporaryDirectory() as scratch:
        recipes_compared.record(Path(scratch))
        recipes_compared.tell(Path(scratch), HERE / "fp8_recipes")


PARTS: dict[str, Callable[[], None]] = {
    **{part: partial(write_sweep, part) for part in SWEEPS},
    "slopes": slopes,
    "muon_slopes": muon_slopes,
    "depth": depth,
    "coordcheck": coordcheck,
    "scale_law": scale_law,
    "fp8_training": partial(fp8_training.write, HERE / "fp8_training"),
    "end_scales": partial(end_scales.write, HERE / "end_scales"),
    "fp8_recipes": fp8_recipes,
    "pictures": redraw,
    "screenshots": screenshots,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m reports.make", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parts = parser.parse_args().parts
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(PARTS)}")
    for part in parts or PARTS:
        PARTS[part]()
