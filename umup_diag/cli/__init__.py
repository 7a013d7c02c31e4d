"""The command line: parse, call, print, exit. Heavy imports wait until a command runs."""

import sys
import traceback

import click

from umup_diag.checks import CHECKS
from umup_diag.cli import streams
from umup_diag.cli.check_command import check_command
from umup_diag.cli.command import Debugging, Group
from umup_diag.cli.formats import formats
from umup_diag.cli.gate import gate
from umup_diag.cli.record import record
from umup_diag.errors import EXIT_CODES, ExitCode, explain

cli = Group(
    "umup-diag",
    help="Is your model scaled right, which tensor is wrong, and will it fit in FP8?\n\n"
    f"Exit codes: {EXIT_CODES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(package_name="umup-diag")(cli)

for command in (*map(check_command, CHECKS.values()), record, gate, formats):
    cli.add_command(command)


def main() -> None:
    """Entry point: every way to end has its exit code, and says why on stderr."""
    streams.prepare()
    debugging = Debugging()
    try:
        cli.main(standalone_mode=False, obj=debugging)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(file=sys.stderr)
        sys.exit(ExitCode.INPUT)
    except click.ClickException as error:
        streams.say(_explain(error), err=True)
        sys.exit(ExitCode.INPUT)
    except (click.Abort, KeyboardInterrupt):
        streams.say("\nInterrupted.", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        streams.close_stdout()
        sys.exit(ExitCode.BROKEN_PIPE)
    except Exception as error:
        if debugging.is_on:
            traceback.print_exception(error)
        code, text = explain(error)
        streams.say(text, err=True)
        sys.exit(code)


def _explain(error: click.ClickException) -> str:
    """What is wrong with the command line, and where to look it up: two lines for click's four."""
    said = f"Error: {error.format_message()}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    return (
        said if context is None else f"{said}\n{context.command_path} --help lists what it takes."
    )
