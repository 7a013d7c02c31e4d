"""The shell of a table on the terminal: what a check's rows stand in."""

from collections.abc import Sequence

from rich.table import Table

from umup_diag.report.style import OFFENDERS


def shell(words: Sequence[str], numbers: Sequence[str], *, caption: str) -> Table:
    """A table without lines: columns of words fold, those of numbers and the verdict do not.

    Args:
        words: headings of the first columns.
        numbers: headings of the columns after them.
        caption: below it.
    """
    table = Table(
        box=None,
        padding=(0, 1),
        header_style="bold",
        caption=caption,
        caption_justify="left",
    )
    for heading in words:
        table.add_column(heading, overflow="fold", min_width=len(heading))
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    return table


def say_more(table: Table, rows: int) -> None:
    """The last row, if there are more than are listed one by one."""
    if rows > OFFENDERS:
        table.add_row(f"… and {rows - OFFENDERS} more (--all lists them)")
