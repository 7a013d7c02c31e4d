"""``umup-diag formats``."""

import click

from umup_diag.cli import streams
from umup_diag.cli.command import Command


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})  # -0.5 is a value
@click.argument("values", type=float, nargs=-1)
def formats(values: tuple[float, ...]) -> None:
    """Tell every number format's limits, and what each of VALUES becomes in it."""
    from umup_diag.report.formats_table import formats_table, value_table

    console = streams.console(width=140)
    for table in [value_table(value) for value in values] or [formats_table()]:
        console.print(table)
