"""``umup-diag record``."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from umup_diag.cli.options import alone, common
from umup_diag.cli.terminal import bars, resumable


@click.command()
@click.option(
    "--model",
    default="reference_model:umup",
    show_default=True,
    metavar="PKG.MOD[:ATTR]",
    help="What offers build(width) -> nn.Module.",
)
@click.option("--width", type=click.IntRange(min=1), default=256, show_default=True)
@click.option(
    "--steps", type=click.IntRange(min=1), default=400, show_default=True, help="Updates."
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Record every so many steps.",
)
@click.option(
    "--optimizer", metavar="NAME", help="adam, adamw or sgd.  [default: the model's own, else adam]"
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Learning rate of a named optimizer.  [default: the model's, small]",
)
@click.option(
    "--warmup",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Updates over which the rate rises.",
)
@click.option("--decay", is_flag=True, help="Let the rate fall by a cosine to a tenth.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Sequences."
)
@click.option(
    "--seq-len", type=click.IntRange(min=1), default=128, show_default=True, help="Tokens in each."
)
@click.option(
    "--fp8",
    metavar="RECIPE",
    help="Simulate FP8 in every linear layer: workshop, final, all-e4m3, or a TOML file.",
)
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    help="A file to read as bytes.  [default: Python's manual]",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Go on with the unfinished run in DIR, with the settings it has.",
)
@common(out="reports/run")
@click.pass_context
def record(
    ctx: click.Context,
    /,
    *,
    model: str,
    out: Path,
    resume: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
    text: Path | None,
    **options: Any,
) -> None:
    """Train a model and record inputs, weights and gradients, for `umup-diag fp8-range` to judge.

    In a training loop of your own: with umup_diag.record(model, every=100, to="reports/run").
    """
    from umup_diag import strict_json
    from umup_diag.checks import run as checks
    from umup_diag.measure import environment, sweep
    from umup_diag.measure.long_run import LongRun
    from umup_diag.measure.subject import Subject

    where = environment.device(device)
    if resume is None:
        run, subject, corpus = checks.begin_recording(model=model, text=text, **options)
    else:
        alone(ctx, "resume", "device", "as_json", "quiet")
        out, run = resume, LongRun.load(resume)
        subject, corpus = Subject.load(run.model), sweep.same_text(run.text, run.text_digest)
    with (
        resumable(
            lambda: f"what was recorded is in {out}",
            f"umup-diag record --resume {out}",
        ),
        bars({"updates": run.steps}, silent=as_json or quiet) as bar,
    ):
        history = checks.recorded(
            run,
            subject,
            corpus,
            out=out,
            device=where,
            resume=resume is not None,
            progress=lambda done: bar("updates", done),
        )
    losses = history.losses
    is_finite = math.isfinite(losses[-1])
    if as_json:
        click.echo(
            strict_json.dumps(
                {
                    "settings": history.settings,
                    "environment": history.environment,
                    "snapshots": [snapshot.step for snapshot in history.snapshots],
                    "losses": losses,
                },
                indent=1,
            )
        )
    elif not quiet:
        click.echo(
            f"{len(history.snapshots)} snapshots of {len(losses)} updates, "
            f"loss {losses[0]:.3f} → {losses[-1]:.3f}\n"
            f"recording: {history.path}\njudge it: umup-diag fp8-range {out}"
        )
    if not is_finite:
        click.echo(f"Stopped: the loss is {losses[-1]} after {len(losses) - 1} updates.", err=True)
    sys.exit(0 if is_finite else 1)
