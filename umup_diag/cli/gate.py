"""``umup-diag gate``."""

import os
import sys
import tempfile
import traceback
from pathlib import Path

import click

from umup_diag.checks import CHECKS
from umup_diag.checks.check import run
from umup_diag.checks.unit_scale import UNIT_SCALE
from umup_diag.cli import streams
from umup_diag.cli.command import Command, Debugging
from umup_diag.cli.terminal import Bars
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace
from umup_diag.plans import files
from umup_diag.plans import gate as gates
from umup_diag.report.untracked import ignore, untracked

FORMATS = ("text", "json", "github", "junit")


@click.command(cls=Command)
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
@click.pass_context
def gate(
    ctx: click.Context,
    /,
    *,
    plans: tuple[Path, ...],
    form: str,
    out: Path,
    init: str | None,
    width: int,
) -> None:
    """Run check plans: those given, or every checks/*.toml.

    All are run, also after one fails. 0: all pass. 1: one fails. 2: one could not be read or run,
    or judged nothing, or there is none. 3: one is inconclusive. 70: umup-diag itself failed in one.
    """
    if init is not None:
        with streams.stdout_is_the_results():
            path = _write_first(init, plans, width)
        streams.say(f"wrote {path}; run it with: umup-diag gate {path}")
        return
    paths = files.find(plans or (files.FOLDER,))
    is_asked = ctx.get_parameter_source("out") is not click.core.ParameterSource.DEFAULT
    with Bars(silent=form == "json") as bars, streams.stdout_is_the_results():
        ended = gates.run_all(
            paths,
            CHECKS,
            out,
            place=(lambda folder: folder) if is_asked else untracked,
            progress=lambda path, done: bars.move(str(path), done, 1),
        )
    if ctx.ensure_object(Debugging).is_on:
        for fault in (each.fault for each in ended.outcomes if each.fault):
            traceback.print_exception(fault)
    _keep(ended, out, may_replace=is_asked)
    _print(ended, form, out)
    sys.exit(ended.exit_code)


def _keep(ended: gates.Gate, out: Path, *, may_replace: bool) -> None:
    """Write the gate's own files, and the job summary where GitHub asks for one."""
    from umup_diag.plans import text
    from umup_diag.plans.junit import junit
    from umup_diag.report.folder import write_whole

    summary, markdown = os.environ.get("GITHUB_STEP_SUMMARY"), text.markdown(ended)
    contents = {
        "gate.json": text.dumps(ended, base=out) + "\n",
        "gate.md": markdown,
        "junit.xml": junit(ended),
    }
    try:
        for name, content in contents.items():
            path = out / name if may_replace else untracked(out / name)
            ignore(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        if summary:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown)
    except OSError as error:
        raise InputError(f"cannot write {error.filename}: {error.strerror}.") from None


def _print(ended: gates.Gate, form: str, out: Path) -> None:
    from umup_diag.plans import text
    from umup_diag.plans.github import github
    from umup_diag.plans.junit import junit

    match form:
        case "json":
            streams.say_json(text.dumps(ended, base=out))
        case "github":
            streams.say(github(ended))
        case "junit":
            streams.say_xml(junit(ended))
        case _:
            streams.console().print(text.text(ended))


def _write_first(model: str, plans: tuple[Path, ...], width: int) -> Path:
    """Look at a model once, and write down as a plan what there is to see."""
    from umup_diag.checks.unit_scale.first_plan import first_plan

    path = plans[0] if plans else files.FOLDER / "unit_scale.toml"
    if len(plans) > 1 or path.is_dir():
        raise InputError(f"--init writes one plan; give one file, such as {path / 'first.toml'}.")
    if path.exists():
        raise InputError(f"{path} is there already; name another file: gate --init {model} FILE")
    settings = UNIT_SCALE.settings(model=model, width=(width,))
    with tempfile.TemporaryDirectory() as folder:
        result = run(UNIT_SCALE, settings, Workplace(out=Path(folder)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(first_plan(result), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from None
    return path
