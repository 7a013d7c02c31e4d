"""What every command does on the terminal: bars while it runs, then the result, once."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console

    from umup_diag.checks.result import Result


class Step(Protocol):
    """Moves a bar on."""

    def __call__(self, label: str, done: int, total: int | None = None) -> None:
        """Set what is done, and the total where it was not known."""


INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended


@contextmanager
def bars(totals: dict[str, int | None], *, silent: bool) -> Iterator["Step"]:
    """A progress bar per label on a terminal, on stderr; nothing elsewhere.

    Yields a function that takes a label, how much is done, and the total where it was not known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=silent or not console.is_terminal,
    )
    with progress:
        tasks = {
            label: progress.add_task(label, total=total, start=False)
            for label, total in totals.items()
        }

        def step(label: str, done: int, total: int | None = None) -> None:
            progress.start_task(tasks[label])
            progress.update(tasks[label], completed=done, total=total)

        yield step


@contextmanager
def resumable(kept: Callable[[], str], command: str) -> Iterator[None]:
    """On Ctrl-C, say what is kept and how to go on, and exit as a shell expects."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted: {kept()}.\nGo on with: {command}", err=True)
        sys.exit(INTERRUPTED)


def stdout(*, width: int = 100) -> "Console":
    """A console on stdout: as wide as the terminal, or `width` where there is none."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)


def tell(
    result: "Result", page: Path, table: Callable[[], Any], *, as_json: bool, quiet: bool
) -> None:
    """Print the result: as JSON and nothing else, as its verdict, or as its table and page."""
    from umup_diag.checks.coordcheck import view as telling
    from umup_diag.report import json

    if as_json:
        click.echo(json.dumps(result))
        return
    console = stdout()
    console.print(telling.verdict(result) if quiet else table(), crop=False)
    if not quiet:
        console.print(f"report: {page}", soft_wrap=True)
