"""``umup-diag gate``."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from umup_diag import plan_runs
from umup_diag.checks import run as checks
from umup_diag.cli.plan_keys import schemas
from umup_diag.cli.terminal import bars
from umup_diag.errors import InputError
from umup_diag.plans import files as plan_file

if TYPE_CHECKING:
    from umup_diag.plans.gate import Gate

FORMATS = ("text", "json", "github", "junit")


@click.command()
@click.argument("plans", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="What is printed; github annotates the pull request.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder; each plan's results go into one of its own there.",
)
@click.option(
    "--init",
    metavar="PKG.MOD[:ATTR]",
    help="Write a first plan for this model, with today's values, and run nothing else.",
)
@click.option(
    "--width",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="With --init: the width to look at.",
)
def gate(*, plans: tuple[Path, ...], form: str, out: Path, init: str | None, width: int) -> None:
    """Run check plans: those given, or every checks/*.toml.

    All are run, also after one fails. 0: all pass. 1: one fails. 2: one could not be read or run,
    or judged nothing, or there is none. 3: one is inconclusive.
    """
    if init is not None:
        path = _write_first(init, plans, width)
        click.echo(f"wrote {path}; run it with: umup-diag gate {path}")
        return
    paths = plan_file.find(plans or (plan_file.FOLDER,))
    with bars({str(path): 1 for path in paths}, silent=form == "json") as step:
        ended = plan_runs.run_all(
            paths, schemas(), out, progress=lambda path, done: step(str(path), done)
        )
    _keep(ended, out)
    _print(ended, form, out)
    sys.exit(ended.exit_code)


def _keep(ended: "Gate", out: Path) -> None:
    """Write the gate's own files, and the job summary where GitHub asks for one."""
    from umup_diag.plans import text as telling
    from umup_diag.plans.junit import junit
    from umup_diag.report import json

    markdown = telling.markdown(ended)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    try:
        out.mkdir(parents=True, exist_ok=True)
        json.write_whole(out / "gate.json", telling.dumps(ended, base=out) + "\n")
        json.write_whole(out / "gate.md", markdown)
        json.write_whole(out / "junit.xml", junit(ended))
        if summary:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown)
    except OSError as error:
        raise InputError(f"cannot write {error.filename}: {error.strerror}.") from None


def _print(ended: "Gate", form: str, out: Path) -> None:
    from rich.console import Console

    from umup_diag.plans import text as telling
    from umup_diag.plans.github import github
    from umup_diag.plans.junit import junit

    match form:
        case "json":
            click.echo(telling.dumps(ended, base=out))
        case "github":
            click.echo(github(ended))
        case "junit":
            click.echo(junit(ended), nl=False)
        case _:
            console = Console(highlight=False)
            if not console.is_terminal:
                console = Console(highlight=False, width=100)
            console.print(telling.text(ended))


def _write_first(model: str, plans: tuple[Path, ...], width: int) -> Path:
    """Look at a model once, and write down as a plan what there is to see."""
    from umup_diag.checks.unit_scale.first_plan import first_plan

    path = plans[0] if plans else plan_file.FOLDER / "unit_scale.toml"
    if len(plans) > 1 or path.is_dir():
        raise InputError(f"--init writes one plan; give one file, such as {path / 'first.toml'}.")
    if path.exists():
        raise InputError(f"{path} is there already; name another file: gate --init {model} FILE")
    settings: dict[str, Any] = {
        name: key.default for name, key in schemas()["unit-scale"].items() if name != "out"
    }
    with tempfile.TemporaryDirectory() as folder:
        result = checks.unit_scale(
            **{**settings, "model": model, "width": (width,)}, out=Path(folder)
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(first_plan(result), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from None
    return path
