"""The command line: parse, call, print, exit. Heavy imports wait until a command runs."""

import sys

import click

from umup_diag.checks import CHECKS
from umup_diag.cli.check_command import check_command
from umup_diag.cli.formats import formats
from umup_diag.cli.gate import gate
from umup_diag.cli.record import record
from umup_diag.cli.terminal import INTERRUPTED
from umup_diag.errors import InputError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="umup-diag")
def cli() -> None:
    """Is your model scaled right, which tensor is wrong, and will it fit in FP8?

    Exit codes: 0 every check passes, 1 one fails, 2 could not run, 3 inconclusive.
    """


for command in (*map(check_command, CHECKS.values()), record, gate, formats):
    cli.add_command(command)


def main() -> None:
    """Entry point: bad input is one clear message on stderr and exit code 2."""
    try:
        cli.main(standalone_mode=False)
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted.", err=True)
        sys.exit(INTERRUPTED)
