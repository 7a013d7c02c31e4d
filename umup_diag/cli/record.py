"""``umup-diag record``."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from umup_diag import strict_json
from umup_diag.cli import streams
from umup_diag.cli.command import Command
from umup_diag.cli.options import (
    alone,
    default_out,
    output_options,
    parameters,
    require_recording,
    resume_option,
    settings,
)
from umup_diag.cli.terminal import Bars, resumable
from umup_diag.measure.workplace import Workplace
from umup_diag.report.claim import claimed
from umup_diag.settings.shared import TrainingRunSettings

DIVERGED = 10
"""A loss that ends this many times where it began: chance alone, ln V, is where training begins."""


@click.pass_context
def _record(
    ctx: click.Context,
    /,
    *,
    out: Path,
    resume: Path | None,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> None:
    if resume is None:
        chosen = settings(TrainingRunSettings, values)
        chosen.precheck()
        out = default_out(ctx, out)
    else:
        alone(ctx, "resume", "device", "as_json", "quiet")
        require_recording(resume)
        from umup_diag.measure import long_run  # loads torch

        out, chosen = resume, long_run.recorded_settings(resume, device=values["device"])
    with (
        claimed(out),
        Bars(silent=as_json or quiet) as bars,
        resumable("record", "updates", out, bars),
        streams.stdout_is_the_results(),
    ):
        from umup_diag.measure import long_run

        workplace = Workplace(out=out, progress=bars.move, resume=resume is not None)
        recording = long_run.train(chosen, workplace)
    losses = recording.losses
    steps = [frame.step for frame in recording.frames]
    has_diverged = losses[0] > 0 and losses[-1] > DIVERGED * losses[0]
    if as_json:
        document = {
            "settings": recording.settings,
            "environment": recording.environment,
            "snapshots": steps,
            "losses": losses,
        }
        streams.say_json(strict_json.dumps(document, indent=1))
    elif not quiet:
        streams.say(
            f"{len(steps)} snapshots of {len(losses)} updates, "
            f"loss {losses[0]:.3f} → {losses[-1]:.3f}\n"
            f"recording: {recording.path}\njudge it: umup-diag fp8-range {out}"
        )
    if not math.isfinite(losses[-1]):
        streams.say(f"Stopped: the loss is {losses[-1]} after {len(losses) - 1} updates.", err=True)
    elif has_diverged:
        streams.say(
            f"It diverged: the loss rose from {losses[0]:.3g} to {losses[-1]:.3g}. Lower --lr.",
            err=True,
        )
    sys.exit(0 if math.isfinite(losses[-1]) and not has_diverged else 1)


record = Command(
    "record",
    params=[
        *parameters(TrainingRunSettings),
        resume_option("run"),
        *output_options("reports/run"),
    ],
    callback=_record,
    help="""Train a model and record inputs, weights and gradients, for `umup-diag fp8-range` to
    judge.

    In a training loop of your own: with umup_diag.record(model, every=100, to="reports/run").
    """,
)
