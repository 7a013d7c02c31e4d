"""``umup-diag CHECK``: the command of any check, from its settings and its view."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from umup_diag.checks.check import Check, run
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
from umup_diag.cli.terminal import Bars, print_result, resumable
from umup_diag.errors import InputError
from umup_diag.measure.workplace import Workplace, unheard
from umup_diag.settings.option import Settings, settings_of

#: What else can be done with a recording, by the command that made it.
_NEXT = {
    "record": "Go on with umup-diag record --resume {folder}, or judge it with umup-diag fp8-range "
    "{folder}.",
    "coordcheck": "Go on with umup-diag coordcheck --resume {folder}.",
}
_OWN = "It is complete as it is; start this one in another folder, by --out."


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
            chosen.precheck()  # before anything heavy is loaded, and a folder is chosen
            out = default_out(ctx, out)
        else:
            places = {s.name for s in settings_of(check.settings) if s.option.is_place}
            alone(ctx, "resume", *places, "every", "as_json", "quiet")
            here = {name: values[name] for name in places}
            out, chosen = resume, _recorded(check, resume, here)
        with ExitStack() as stack:
            bars = stack.enter_context(Bars(silent=as_json or quiet))
            if check.is_resumable:
                stack.enter_context(resumable(check.name, "runs", out, bars))
            stack.enter_context(streams.stdout_is_the_results())
            say = unheard if as_json or quiet else partial(streams.say, err=True)
            workplace = Workplace(out=out, progress=bars.move, resume=resume is not None, say=say)
            result = run(check, chosen, workplace)
        print_result(result, check.view(), out, every=every, as_json=as_json, quiet=quiet)
        sys.exit(result.verdict.exit_code)

    own = parameters(check.settings)
    extra: list[click.Parameter] = [resume_option("recording")] if check.is_resumable else []
    if check.all_help is not None:
        extra.append(click.Option(["--all", "every"], is_flag=True, help=check.all_help))
    return Command(
        check.name,
        params=[*own, *extra, *output_options(f"reports/{check.name}")],
        callback=callback,
        help=check.help,
    )


def _recorded(check: Check[Any], folder: Path, here: Mapping[str, Any]) -> Settings:
    """The settings that an unfinished recording was begun with, where it is to go on today."""
    require_recording(folder)
    from umup_diag.recording import Recording  # loads torch

    recording = Recording.load(folder)
    if recording.command != check.name:
        advice = _NEXT.get(recording.command, _OWN).format(folder=folder)
        raise InputError(
            f"{folder} holds a recording of umup-diag {recording.command}, so {check.name} cannot "
            f"go on with it.\n{advice}"
        )
    chosen: Settings = check.settings.decode({**recording.settings, **here})
    return chosen
