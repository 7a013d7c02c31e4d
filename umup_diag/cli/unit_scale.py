"""``umup-diag unit-scale``."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from umup_diag.checks import run as checks
from umup_diag.cli.options import common
from umup_diag.cli.terminal import bars, tell


class WidthList(click.ParamType[tuple[int, ...]]):
    """``256``, or several as ``128,512``."""

    name = "width"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse."""
        if isinstance(value, tuple):
            return value
        try:
            widths = [int(width) for width in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is neither like 256 nor like 128,512.", param, ctx)
        if min(widths) < 1:
            self.fail(f"{value!r}: a width is at least 1.", param, ctx)
        return tuple(sorted(set(widths)))


@click.command("unit-scale")
@click.option(
    "--model",
    default="reference_model:umup",
    show_default=True,
    metavar="PKG.MOD[:ATTR]",
    help="What offers build(width) -> nn.Module.",
)
@click.option(
    "--width", type=WidthList(), default="256", show_default=True, help="One, or several: 128,512."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Models at each width; the intervals come from them.",
)
@click.option(
    "--batches",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Batches through each model.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Sequences in a batch.",
)
@click.option(
    "--seq-len",
    type=click.IntRange(min=2),
    default=8,
    show_default=True,
    help="Tokens in a sequence: few, for attention makes positions alike, layer by layer.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=1, min_open=True),
    default=round(math.sqrt(2), 6),
    show_default=True,
    help="Factor either way of the expected RMS.",
)
@click.option("--all", "every", is_flag=True, help="List every finding by itself.")
@common(out="reports/unit-scale")
def unit_scale(
    *, model: str, out: Path, every: bool, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Look at each tensor's RMS at init, and hold it to 1 or to what u-µP says instead."""
    from umup_diag.checks.unit_scale import view as telling
    from umup_diag.report import folder as report

    labels = {width: f"width {width:>5}" for width in options["width"]}
    totals = dict.fromkeys(labels.values(), options["seeds"])
    with bars(totals, silent=as_json or quiet) as step:
        result = checks.unit_scale(
            model=model,
            out=out,
            progress=lambda width, seed: step(labels[width], seed + 1),
            **options,
        )
    tell(
        result,
        out / report.PAGE,
        lambda: telling.unit_scale(result, every=every),
        as_json=as_json,
        quiet=quiet,
    )
    sys.exit(result.verdict.exit_code)
