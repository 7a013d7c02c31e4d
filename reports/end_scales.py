"""What moves the scale of tensors at the end of training? The u-µP paper's Figure 9, in small.

``python -m reports.make end_scales``: u-µP under the cast of the recipe `workshop`; one
hyperparameter or shape at a time leaves its default. What was measured is kept in ``ends.json``.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite, log2
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import numpy as np

from reports.redraw import small
from umup_diag.measure.long_run import train
from umup_diag.measure.sweep import at_point
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.report.chart import Axis, Chart, Plot, Point, Series
from umup_diag.report.vega.render import pictures
from umup_diag.scaling.kinds import Kind
from umup_diag.settings.shared import TrainingRunSettings

LR, STEPS = 2.0, 80
DEFAULTS: Mapping[str, float] = {
    "lr": LR,
    "alpha_attn_softmax": 1,
    "alpha_ffn_act": 1,
    "alpha_residual": 1,
    "alpha_residual_attn_ratio": 1,
    "alpha_loss_softmax": 1,
    "width": 64,
    "depth": 2,
    "steps": STEPS,
    "batch_size": 8,
}
SHAPES = ("width", "depth", "steps", "batch_size")
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SHAPE_FACTORS = (0.5, 1.0, 2.0)
SEEDS = 3  #: at the defaults: what moves by itself
BASE = TrainingRunSettings(
    model="reference_model:umup",
    optimizer="adamw",
    seq_len=32,
    decay=True,
    device="cpu",
    build={"head_dim": 16},
    fp8="workshop",
)
LAST = 0.2  #: share of the updates that a final loss is the mean of
QUANTITIES = {
    "decoder weight": ("head", Kind.WEIGHT),
    "input of the last FFN-down": ("layers.{last}.ffn.down", Kind.INPUT),
    "grad-output of the last FFN-down": ("layers.{last}.ffn.down", Kind.GRAD_OUTPUT),
}

PAGE = """# Scales at the end of training

`python -m reports.make end_scales`: the reference u-µP Llama trained under a plain cast to FP8, on
Python's manual read as bytes; width 64, depth 2, {steps} updates of 8 × 32 bytes, η = {lr:g}, all
else 1; AdamW, a quarter of the updates as warm-up, then a cosine to a tenth; one seed. One value at
a time leaves its default, by a factor of {low:g} to {high:g} (shapes: ½ to 2). *Moves*: octaves
from the smallest to the largest RMS on the way; the last row, of {seeds} seeds at the defaults, is
what moves by itself. All that was measured: [ends.json](ends.json).

| what | decoder weight moves | FFN-down's input | its grad-output | final loss, nats |
|---|---|---|---|---|
{rows}

In the paper (Figure 9) only the learning rate moves them much. What moves them most here:

{most}

![RMS at the end of training, over hyperparameters](hyperparameters.png)
![RMS at the end of training, over shapes](shapes.png)
"""


Ends = Mapping[str, Mapping[float, "End"]]  #: what leaves its default → by which factor → the end


class End(NamedTuple):
    """Where a run ended: its final loss, and RMS by quantity."""

    loss: float
    rms: Mapping[str, float]


def write(out: Path) -> None:
    """Train, draw and tell; goes on where it was interrupted."""
    folder = out / "runs"
    ends: dict[str, dict[float, End]] = {}
    for name, default in DEFAULTS.items():
        for factor in SHAPE_FACTORS if name in SHAPES else FACTORS:
            is_default = factor == 1.0
            run = folder / ("default" if is_default else f"{name}-{factor}")
            point = DEFAULTS if is_default else {**DEFAULTS, name: default * factor}
            ends.setdefault(name, {})[factor] = _end(run, point)
    ends["seed"] = {
        float(seed): _end(folder / (f"seed-{seed}" if seed else "default"), DEFAULTS, seed)
        for seed in range(SEEDS)
    }
    kept = {
        name: {factor: end._asdict() for factor, end in each.items()} for name, each in ends.items()
    }
    (out / "ends.json").write_text(json.dumps(kept, indent=1) + "\n")
    _draw(ends, out)
    _tell(ends, out / "README.md")
    rmtree(folder)


def _end(folder: Path, point: Mapping[str, float], seed: int = 0) -> End:
    point = {name: int(value) if name in SHAPES else value for name, value in point.items()}
    steps, last = int(point["steps"]), int(point["depth"]) - 1
    done = folder / "done"
    if not done.exists():
        rmtree(folder, ignore_errors=True)
        settings = at_point(BASE, {**point, "seed": seed}, seed=0)  # its warm-up is a quarter
        train(replace(settings, every=steps), Workplace(out=folder))
        done.touch()
    recording = Recording.load(folder)
    at_end = {(record.tensor, record.kind): record for record in recording.frames[-1].records}
    rms = {
        name: at_end[tensor.format(last=last), kind].rms
        for name, (tensor, kind) in QUANTITIES.items()
    }
    losses = recording.losses
    return End(float(np.mean(losses[-round(LAST * len(losses)) :])), rms)


def _tell(ends: Ends, path: Path) -> None:
    moved = {
        name: [_octaves([end.rms[quantity] for end in each.values()]) for quantity in QUANTITIES]
        for name, each in ends.items()
    }
    rows = []
    for name, each in ends.items():
        losses = [end.loss for end in each.values()]
        cells = " | ".join(f"{octaves:.1f}" for octaves in moved[name])
        rows.append(f"| {name} | {cells} | {min(losses):.2f} … {max(losses):.2f} |")
    most = "\n".join(f"- {what}: {_most(moved, at)}" for at, what in enumerate(QUANTITIES))
    page = PAGE.format(
        steps=STEPS,
        lr=LR,
        low=FACTORS[0],
        high=FACTORS[-1],
        seeds=SEEDS,
        rows="\n".join(rows),
        most=most,
    )
    path.write_text(page)


def _most(moved: Mapping[str, list[float]], at: int) -> str:
    """The three that move a quantity most."""
    first = sorted(moved, key=lambda name: -moved[name][at])[:3]
    return ", ".join(f"{name} ({moved[name][at]:.1f} octaves)" for name in first)


def _octaves(values: list[float]) -> float:
    return log2(max(values) / min(values))


def _draw(ends: Ends, out: Path) -> None:
    for stem, names in (
        ("hyperparameters", [name for name in DEFAULTS if name not in SHAPES]),
        ("shapes", list(SHAPES)),
    ):
        panels = [
            Plot(
                title=quantity,
                alt=f"RMS of the {quantity} at the end of training, against each of the {stem} "
                "over its default.",
                x=Axis("factor on the default", log2=True),
                y=Axis("RMS", log2=True, least=4.0),
                series=[
                    Series(
                        name,
                        [
                            Point(factor, end.rms[quantity])
                            for factor, end in ends[name].items()
                            if isfinite(end.rms[quantity])
                        ],
                        group=name,
                    )
                    for name in names
                ],
            )
            for quantity in QUANTITIES
        ]
        chart = Chart(stem=stem, title=f"RMS at the end, over {stem}", caption="", panels=panels)
        drawn = pictures(chart, "u-µP trained under a plain cast to FP8")
        (out / f"{stem}.png").write_bytes(small(drawn[f"{stem}.png"]))
