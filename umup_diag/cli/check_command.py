"""``umup-diag CHECK``: the command of any check, from its settings and its view."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from umup_diag.checks.check import Check, run
from umup_diag.cli.options import alone, output_options, parameters, resume_option, settings
from umup_diag.cli.terminal import Bars, print_result, resumable
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace, unheard
from umup_diag.settings.option import Settings, settings_of


def check_command(check: Check[Any]) -> click.Command:
    """The command of a check."""

    @click.pass_context
    def callback(
        ctx: click.Context,
        /,
        *,
        out: Path,
        as_json: bool,
        quiet: bool,
        every: bool = False,
        resume: Path | None = None,
        **values: Any,
    ) -> None:
        if resume is None:
            chosen = settings(check.settings, values)
        else:
            places = {s.name for s in settings_of(check.settings) if s.option.is_place}
            alone(ctx, "resume", *places, "every", "as_json", "quiet")
            here = {name: values[name] for name in places}
            out, chosen = resume, _recorded(check, resume, here)
        with ExitStack() as stack:
            bars = stack.enter_context(Bars(silent=as_json or quiet))
            if check.is_resumable:
                stack.enter_context(resumable(check.name, "runs", out, bars))
            say = unheard if as_json or quiet else partial(click.echo, err=True)
            workplace = Workplace(out=out, progress=bars.move, resume=resume is not None, say=say)
            result = run(check, chosen, workplace)
        print_result(result, check.view(), out, every=every, as_json=as_json, quiet=quiet)
        sys.exit(result.verdict.exit_code)

    own = parameters(check.settings)
    extra: list[click.Parameter] = [resume_option("recording")] if check.is_resumable else []
    if check.all_help is not None:
        extra.append(click.Option(["--all", "every"], is_flag=True, help=check.all_help))
    return click.Command(
        check.name,
        params=[*own, *extra, *output_options(f"reports/{check.name}")],
        callback=callback,
        help=check.help,
    )


def _recorded(check: Check[Any], folder: Path, here: Mapping[str, Any]) -> Settings:
    """The settings that an unfinished recording was begun with, where it is to go on today."""
    from umup_diag.recording import Recording  # loads torch

    recording = Recording.load(folder)
    if recording.command != check.name:
        raise InputError(
            f"{folder} was recorded by umup-diag {recording.command}, so {check.name} cannot go "
            "on with it."
        )
    chosen: Settings = check.settings.decode({**recording.settings, **here})
    return chosen
