"""``umup-diag coordcheck``."""

import sys
from pathlib import Path
from typing import Any

import click

from umup_diag.checks import run as checks
from umup_diag.cli.options import Widths, alone, common
from umup_diag.cli.terminal import bars, resumable, tell


@click.command()
@click.option(
    "--model",
    default="reference_model:umup",
    show_default=True,
    metavar="PKG.MOD[:ATTR]",
    help="What offers build(width) -> nn.Module.",
)
@click.option(
    "--widths",
    type=Widths(),
    default="128..1024",
    show_default=True,
    help="128..4096 doubles; 128,192,256 is the list.",
)
@click.option(
    "--target",
    metavar="SCHEME",
    help="Hold the model to the slopes of sp, ntk, mup, depth_mup or umup.  "
    "[default: the model's own target, else mup]",
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
    "--steps",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Updates before changes are measured.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Runs at each width; the intervals come from them.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Sequences in the batch; its tokens must stay well below the smallest width.",
)
@click.option(
    "--seq-len",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Tokens in a sequence.",
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
    help="Go on with the unfinished recording in DIR, with the settings it has.",
)
@click.option("--all", "every", is_flag=True, help="List every finding by itself.")
@common(out="reports/coordcheck")
@click.pass_context
def coordcheck(
    ctx: click.Context,
    /,
    *,
    out: Path,
    resume: Path | None,
    device: str,
    every: bool,
    as_json: bool,
    quiet: bool,
    model: str,
    text: Path | None,
    **options: Any,
) -> None:
    """Train a few steps at several widths, and hold each tensor's growth to µP's."""
    from umup_diag.checks.coordcheck import view as telling
    from umup_diag.measure import environment, sweep
    from umup_diag.measure.corpus import Corpus
    from umup_diag.measure.subject import Subject
    from umup_diag.report import folder as report

    where = environment.device(device)
    if resume is None:
        subject, corpus = Subject.load(model), Corpus.load(text)
        settings = sweep.plan(subject, corpus, **options)
        recording = sweep.begin(settings, out, where)
    else:
        alone(ctx, "resume", "device", "every", "as_json", "quiet")
        out = resume
        settings, recording = sweep.resume(out)
        subject = Subject.load(settings.model, build=settings.build)
        corpus = sweep.same_text(settings.text, settings.text_digest)
    labels = {width: f"width {width:>5}" for width in settings.widths}
    with (
        resumable(
            lambda: f"{len(recording.runs)} of {len(settings.keys)} runs are recorded",
            f"umup-diag coordcheck --resume {out}",
        ),
        bars(dict.fromkeys(labels.values(), settings.seeds), silent=as_json or quiet) as step,
    ):
        result = checks.swept(
            subject,
            corpus,
            settings,
            recording,
            out=out,
            device=where,
            progress=lambda width, seed: step(labels[width], seed + 1),
        )
    tell(
        result,
        out / report.PAGE,
        lambda: telling.coordcheck(result, every=every),
        as_json=as_json,
        quiet=quiet,
    )
    sys.exit(result.verdict.exit_code)
