"""``umup-diag record``."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from umup_diag import strict_json
from umup_diag.cli.options import alone, output_options, parameters, resume_option, settings
from umup_diag.cli.terminal import Bars, resumable
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace
from umup_diag.settings.shared import TrainingRunSettings


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
    from umup_diag.measure import long_run  # loads torch
    from umup_diag.report import folder, training_run  # loads what draws

    if resume is None:
        chosen = settings(TrainingRunSettings, values)
    else:
        alone(ctx, "resume", "device", "as_json", "quiet")
        out, chosen = resume, long_run.recorded_settings(resume, device=values["device"])
    with Bars(silent=as_json or quiet) as bars, resumable("record", "updates", out, bars):
        workplace = Workplace(out=out, progress=bars.move, resume=resume is not None)
        recording = long_run.train(chosen, workplace)
    try:
        folder.write_page(training_run.page(recording), out)
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}.") from None
    losses = recording.losses
    steps = [frame.step for frame in recording.frames]
    is_finite = math.isfinite(losses[-1])
    if as_json:
        document = {
            "settings": recording.settings,
            "environment": recording.environment,
            "snapshots": steps,
            "losses": losses,
        }
        click.echo(strict_json.dumps(document, indent=1))
    elif not quiet:
        click.echo(
            f"{len(steps)} snapshots of {len(losses)} updates, "
            f"loss {losses[0]:.3f} → {losses[-1]:.3f}\n"
            f"recording: {recording.path}\nreport: {out / folder.PAGE}\n"
            f"judge it: umup-diag fp8-range {out}"
        )
    if not is_finite:
        click.echo(f"Stopped: the loss is {losses[-1]} after {len(losses) - 1} updates.", err=True)
    sys.exit(0 if is_finite else 1)


record = click.Command(
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
