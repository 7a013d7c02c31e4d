"""``umup-diag fp8-range``."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from umup_diag.cli.options import common
from umup_diag.cli.terminal import bars, tell

if TYPE_CHECKING:
    from umup_diag.checks.fp8_range.judge import Question
    from umup_diag.measure.snapshot import Snapshot


@click.command("fp8-range")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--formats",
    metavar="A,B,…",
    help="Hold every tensor to the first, show the rest beside it: e4m3fn, e5m2, mxfp8, …  "
    "[default: e4m3fn for inputs and weights, e5m2 for gradients, the other beside]",
)
@click.option(
    "--steps",
    metavar="N,N,…",
    help="Training step of each checkpoint.  [default: what its name says: step-1000]",
)
@click.option(
    "--until",
    type=click.IntRange(min=0),
    metavar="STEP",
    help="Judge a recording up to this step; 0 is the initialisation.",
)
@click.option("--include", multiple=True, metavar="PATTERN", help="Judge these tensors alone.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave these out.")
@click.option(
    "--model",
    metavar="PKG.MOD[:ATTR]",
    help="Load the checkpoint into this model, train on a few batches without updates, and judge "
    "inputs and gradients too.",
)
@click.option(
    "--width",
    type=click.IntRange(min=1),
    help="To build --model at.  [default: what fits the checkpoint]",
)
@click.option(
    "--batches", type=click.IntRange(min=1), default=4, show_default=True, help="For --model."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=4, show_default=True, help="For --model."
)
@click.option(
    "--seq-len", type=click.IntRange(min=1), default=128, show_default=True, help="For --model."
)
@click.option("--text", type=click.Path(path_type=Path), help="For --model, a file.")
@click.option(
    "--underflow",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of non-zero elements that may become zero.",
)
@click.option(
    "--subnormal",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share that may become subnormal.",
)
@click.option(
    "--near",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Octaves from a limit that count as near.",
)
@click.option(
    "--horizon",
    type=click.IntRange(min=1),
    help="Steps to forecast.  [default: three times what was seen]",
)
@click.option("--strict", is_flag=True, help="Near a limit, or going to cross one, fails.")
@click.option("--all", "every", is_flag=True, help="List every tensor by itself.")
@common(out="reports/fp8-range")
def fp8_range(
    *,
    sources: tuple[Path, ...],
    formats: str | None,
    underflow: float,
    subnormal: float,
    near: float,
    horizon: int | None,
    strict: bool,
    every: bool,
    out: Path,
    device: str,
    seed: int,
    as_json: bool,
    quiet: bool,
    **reading: Any,
) -> None:
    """Will this checkpoint, or this training run, fit in FP8?

    SOURCES are checkpoints (safetensors, .pt, a sharded or a torch.distributed folder), several of
    one run for a trend, or one folder that `umup-diag record` wrote.
    """
    from umup_diag.checks import run as checks
    from umup_diag.checks.fp8_range import judge as check
    from umup_diag.checks.fp8_range import view as telling
    from umup_diag.measure import environment
    from umup_diag.report import folder as report

    asked: dict[str, Any] = {
        "formats": formats,
        "underflow": underflow,
        "subnormal": subnormal,
        "near": near,
        "horizon": horizon,
        "strict": strict,
    }
    question = checks.question(**asked)
    where = environment.device(device)
    report.clear(out, "fp8-range")
    snapshots, notes = _read(
        sources, question, silent=as_json or quiet, device=where, seed=seed, **reading
    )
    result = check.judge(
        snapshots,
        question,
        settings={"sources": [str(source) for source in sources], **asked},
        environment={**environment.environment(where), "seed": seed},
        notes=notes,
    )
    page = report.write(result, out)
    tell(
        result,
        page,
        lambda: telling.fp8_range(result, every=every),
        as_json=as_json,
        quiet=quiet,
    )
    sys.exit(result.verdict.exit_code)


def _read(
    sources: tuple[Path, ...],
    question: "Question",
    *,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    steps: str | None,
    until: int | None,
    silent: bool,
    **loading: Any,
) -> tuple[list["Snapshot"], list[str]]:
    """The snapshots of a recording, of checkpoints, or of checkpoints loaded into a model."""
    from umup_diag.measure.checkpoint import folder as checkpoint_folder
    from umup_diag.measure.checkpoint import scan as checkpoint_scan
    from umup_diag.measure.checkpoint import trial as checkpoint_trial
    from umup_diag.measure.checkpoint.checkpoint import in_order, select
    from umup_diag.measure.history import History

    model = loading.pop("model")
    if len(sources) == 1 and History.is_in(sources[0]):
        history = History.load(sources[0] / History.FILE)
        return history.chosen(include=include, exclude=exclude, until=until), []
    checkpoints = in_order([*map(checkpoint_folder.open_checkpoint, sources)], steps)
    if model is not None:
        trial = checkpoint_trial.Trial.of(model, checkpoints[0][1], **loading)
        return [trial.run(checkpoint, step) for step, checkpoint in checkpoints], trial.notes
    selections = [select(each, include=include, exclude=exclude) for _, each in checkpoints]
    labels = [str(checkpoint.path) for _, checkpoint in checkpoints]
    totals = [len(selection.tensors) for selection in selections]
    found = []
    with bars(dict(zip(labels, totals, strict=True)), silent=silent) as bar:
        for label, (step, _), selection in zip(labels, checkpoints, selections, strict=True):
            found.append(
                checkpoint_scan.scan(
                    selection.tensors,
                    step=step,
                    blocks=question.blocks,
                    progress=partial(bar, label),
                )
            )
    return found, list(dict.fromkeys(note for each in selections for note in each.notes))
