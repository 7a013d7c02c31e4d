"""Does a model train under a plain cast to FP8? The u-µP paper's Figures 1 right and 7, in small.

``python -m reports.make fp8_training``: u-µP and Depth-µP, which is what the paper's µP is, depth
4, at two widths and from three seeds, each in float32 and with every linear's operands cast as the
recipe `workshop` says.
"""

from collections.abc import Iterator
from itertools import product
from math import isfinite
from pathlib import Path
from shutil import rmtree

import numpy as np

from reports.redraw import small
from umup_diag.checks.interval import Mean
from umup_diag.measure.long_run import train
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.report.chart import Axis, Chart, Draw, Plot, Point, Series
from umup_diag.report.vega.render import pictures
from umup_diag.settings.shared import TrainingRunSettings

MODELS = {"umup": "u-µP, η = 2^1", "depth_mup": "Depth-µP, η = 2^-8"}
RECIPES = {"none": "float32", "workshop": "FP8, plain cast"}
WIDTHS, SEEDS, STEPS = (64, 128), 3, 120
LAST = 20  #: updates that a final loss is the mean of
SMOOTH = 10  #: updates that a point of the picture is the mean of
WARMUP = 30

PAGE = """# Training under a plain cast to FP8

`python -m reports.make fp8_training`: the reference Llama, depth 4, on Python's manual read as
bytes; AdamW, {warmup} updates of warm-up, then a cosine to a tenth; {steps} updates of 256 bytes;
{seeds} seeds. *FP8* casts each linear's input, weight and grad-output to E4M3 (inputs of FFN-down
and attention-out to E5M2), with no scaling factor. Final loss: mean over the last {last} updates;
the change is the mean over seeds of FP8 less float32, with Student's 95 % interval.

| model | width | float32 | FP8 | change, nats |
|---|---|---|---|---|
{rows}

{answer}

![Training loss](loss.png)
"""

ANSWER = """As in the u-µP paper's Figures 1 (right) and 7: at both widths Depth-µP ends worse under
the cast, and u-µP does not, as far as {seeds} seeds tell: its intervals hold 0 and lie below
Depth-µP's. Plain µP's gradients at the start are below what E4M3 holds
(../fp8_range)."""
OTHERWISE = "Not as in the u-µP paper's Figures 1 (right) and 7, where u-µP trains and µP does not."


def runs() -> Iterator[tuple[str, int, str, int]]:
    """Model, width, recipe, seed."""
    return product(MODELS, WIDTHS, RECIPES, range(SEEDS))


def write(out: Path) -> None:
    """Train, draw the curves, and write what they end at; goes on where it was interrupted."""
    folder = out / "runs"
    curves = {run: _curve(run, folder / "-".join(map(str, run))) for run in runs()}
    _draw(curves, out)
    rmtree(folder)


def _curve(run: tuple[str, int, str, int], folder: Path) -> np.ndarray:
    """The losses of a run, trained unless that is done; those after it diverged are infinite."""
    model, width, recipe, seed = run
    settings = TrainingRunSettings(
        model=f"reports.fp8_range.subjects:{model}",
        width=width,
        seed=seed,
        fp8=recipe,
        optimizer="adamw",
        steps=STEPS,
        every=STEPS,
        warmup=WARMUP,
        decay=True,
        batch_size=4,
        seq_len=64,
        device="cpu",
    )
    if not _is_done(folder):
        rmtree(folder, ignore_errors=True)
        train(settings, Workplace(out=folder))
    losses = Recording.load(folder).losses
    return np.array([*losses, *[np.inf] * (STEPS - len(losses))])


def _is_done(folder: Path) -> bool:
    if not (folder / Recording.FILE).exists():
        return False
    losses = Recording.load(folder).losses
    return len(losses) == STEPS or (bool(losses) and not isfinite(losses[-1]))


def _draw(curves: dict[tuple[str, int, str, int], np.ndarray], out: Path) -> None:
    rows, panels, changes = [], [], {}
    for model, width in product(MODELS, WIDTHS):
        finals, series = {}, []
        for recipe, label in RECIPES.items():
            each = np.array([curves[model, width, recipe, seed] for seed in range(SEEDS)])
            finals[recipe] = each[:, -LAST:].mean(axis=1)
            smooth = each.reshape(SEEDS, -1, SMOOTH).mean(axis=2)
            at = range(SMOOTH, STEPS + 1, SMOOTH)
            for points, draw in (
                (zip(at, smooth.mean(axis=0), strict=True), Draw.LINE),
                (zip(at, smooth[0], smooth.min(0), smooth.max(0), strict=True), Draw.BAND),
            ):
                shown = [Point(*map(float, point)) for point in points if isfinite(sum(point))]
                series.append(Series(label, shown, draw=draw, group=label))
        plain, cast = (float(finals[recipe].mean()) for recipe in RECIPES)
        change = Mean.of(list(finals["workshop"] - finals["none"]))
        changes[model, width] = change
        rows.append(
            f"| {MODELS[model]} | {width} | {plain:.3f} | {cast:.3f} | {change.mean:+.3f} "
            f"({change.low:+.3f} … {change.high:+.3f}) |"
        )
        panels.append(
            Plot(
                title=f"{MODELS[model]}, width {width}",
                alt=f"Training loss of {MODELS[model]} at width {width}: {plain:.3f} at last in "
                f"float32, {cast:.3f} under the cast.",
                x=Axis("update"),
                y=Axis("training loss, nats per byte"),
                series=series,
            )
        )
    chart = Chart(stem="loss", title="Training loss", caption="", panels=panels, columns=2)
    headline = f"each point: mean of {SMOOTH} updates, over {SEEDS} seeds; areas: their range"
    (out / "loss.png").write_bytes(small(pictures(chart, headline)["loss.png"]))
    is_so = all(
        umup.low <= 0 <= umup.high < mup.low
        for umup, mup in ((changes["umup", w], changes["depth_mup", w]) for w in WIDTHS)
    )
    page = PAGE.format(
        steps=STEPS,
        warmup=WARMUP,
        seeds=SEEDS,
        last=LAST,
        rows="\n".join(rows),
        answer=ANSWER.format(seeds=SEEDS) if is_so else OTHERWISE,
    )
    (out / "README.md").write_text(page)
