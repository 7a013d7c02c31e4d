"""Does a model train under a plain cast to FP8? The u-µP paper's Figure 7, at a small scale.

``python -m reports.make fp8_training``: u-µP and µP, width 256, depth 4, 400 updates of 512 bytes,
each in float32 and with every linear's operands cast as the recipe `workshop` says.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from umup_diag.recording import Recording
from umup_diag.report.chart import Axis, Chart, Draw, Plot, Point, Series
from umup_diag.report.vega.render import pictures

MODELS = {"umup": "u-µP, η = 2¹", "mup": "µP, η = 2⁻⁸"}
RECIPES = {"none": "float32", "workshop": "FP8, plain cast"}
LAST = 50  #: updates that a final loss is the mean of
RUN = (
    "--optimizer adamw --width 256 --steps 400 --every 400 --batch-size 4 --seq-len 128 "
    "--warmup 100 --decay --device cpu -q"
)


PAGE = """# Training under a plain cast to FP8

`python -m reports.make fp8_training`: the reference Llama, width 256, depth 4, on Python's manual
read as bytes; AdamW, 100 updates of warm-up, then a cosine to a tenth; 400 updates of 512 bytes.
One seed. *FP8* casts each linear's input, weight and grad-output to E4M3 (inputs of FFN-down and
attention-out to E5M2), with no scaling factor.
Final loss: mean over the last {last} updates.

| model | float32 | FP8 | change |
|---|---|---|---|
{rows}

As in the u-µP paper's Figure 7: u-µP trains as well under the cast, and µP does not. Its loss falls
for a hundred updates and then rises past where it began. All 30 of its grad-outputs underflow E4M3
at the start (../fp8_range).

![Training loss](loss.png)
"""


def record(folder: Path) -> None:
    """Train the four models, each into a folder of its own."""
    for model in MODELS:
        for recipe in RECIPES:
            command = [sys.executable, "-m", "umup_diag.cli", "record", *RUN.split()]
            command += ["--model", f"reports.fp8_range.subjects:{model}", "--fp8", recipe]
            subprocess.run([*command, "--out", str(folder / f"{model}-{recipe}")], check=True)


def tell(folder: Path, out: Path) -> None:
    """Draw the curves, and write what they end at."""
    out.mkdir(exist_ok=True)
    lines = []
    panels = []
    for model, title in MODELS.items():
        series, final = [], {}
        for recipe, label in RECIPES.items():
            losses = np.array(Recording.load(folder / f"{model}-{recipe}").losses)
            smooth = np.convolve(losses, np.ones(10) / 10, mode="valid")
            points = [Point(at, float(loss)) for at, loss in enumerate(smooth, start=10)]
            series.append(Series(label, points, draw=Draw.LINE, group=label))
            final[recipe] = float(losses[-LAST:].mean())
        change = final["workshop"] / final["none"] - 1
        lines.append(f"| {title} | {final['none']:.3f} | {final['workshop']:.3f} | {change:+.1%} |")
        panels.append(
            Plot(
                title=title,
                alt=f"Training loss of {title}: {final['none']:.3f} at last in float32, "
                f"{final['workshop']:.3f} under the cast.",
                x=Axis("update"),
                y=Axis("training loss, nats per byte"),
                series=series,
            )
        )
    chart = Chart(stem="loss", title="Training loss", caption="", panels=panels)
    for name, picture in pictures(chart, "each point: mean of ten updates").items():
        (out / name).write_bytes(picture)
    page = PAGE.format(last=LAST, rows="\n".join(lines))
    (out / "README.md").write_text(page)
