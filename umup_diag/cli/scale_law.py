"""``umup-diag scale-law``."""

import sys
from pathlib import Path
from typing import Any

import click

from umup_diag.checks.scale_law.ranges import parse_over
from umup_diag.cli.options import common
from umup_diag.cli.terminal import bars, tell


@click.command("scale-law", short_help="Fit an op's scale by Monte-Carlo.")
@click.argument("op")
@click.argument("more_over", metavar="", nargs=-1)
@click.option(
    "--over",
    multiple=True,
    metavar="NAME=A..B …",
    help="Parameter values: A..B doubles, A..B:N has N points, or A,B,C. Several may follow.",
)
@click.option(
    "--inputs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many tensors your op takes.",
)
@click.option("--causal/--no-causal", default=True, show_default=True, help="For attention.")
@click.option(
    "--relative-error",
    type=click.FloatRange(0, 0.5, min_open=True),
    help="Wanted standard error of each scale.  [default: set by the op]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    help="Relative error that a law may have anywhere.  [default: 0.125]",
)
@common(out="reports/scale-law")
def scale_law(
    *,
    op: str,
    more_over: tuple[str, ...],
    over: tuple[str, ...],
    out: Path,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    r"""Fit an op's scale by Monte-Carlo, and compare it with the published law.

    OP is attention, full-attention, gated-silu, silu, gelu, relu, softmax, cross-entropy, or your
    own as pkg.mod:function. It is called with --inputs unit-normal tensors, and with the --over
    parameters by keyword.

    \b
    umup-diag scale-law attention
    umup-diag scale-law mypkg.ops:relu2_glu --inputs 2 --over alpha=1/8..8
    umup-diag scale-law attention --no-causal --over s=64..4096 d_head=16..128 alpha=1/4..4
    """
    from umup_diag import scale_law_check
    from umup_diag.checks.scale_law.view import terminal
    from umup_diag.report.folder import PAGE

    label = f"measuring {op}"
    with bars({label: None}, silent=as_json or quiet) as step:
        result = scale_law_check.scale_law(
            op,
            over=parse_over([*over, *more_over]),
            out=out,
            progress=lambda done, total: step(label, done, total),
            **options,
        )
    tell(result, out / PAGE, lambda: terminal(result), as_json=as_json, quiet=quiet)
    sys.exit(result.verdict.exit_code)
