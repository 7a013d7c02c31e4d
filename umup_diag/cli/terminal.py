"""What every command does on the terminal: bars while it runs, then the result, once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from umup_diag.cli import streams
from umup_diag.errors import ExitCode

if TYPE_CHECKING:
    from umup_diag.checks.result import Result
    from umup_diag.report.view import View


class Bars:
    """A progress bar for each label on a terminal, on stderr; nothing elsewhere."""

    def __init__(self, *, silent: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=silent or not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}
        self._counts: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def move(self, label: str, done: int, total: int, /) -> None:
        """Set what is done of how much; a label that is new gets a bar."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total, start=False)
        if done:
            self._progress.start_task(self._tasks[label])
        self._progress.update(self._tasks[label], completed=done, total=total)
        self._counts[label] = done, total

    @property
    def counts(self) -> tuple[int, int]:
        """What is done, and of how much, over all bars."""
        done, totals = zip(*self._counts.values(), strict=True) if self._counts else ((), ())
        return sum(done), sum(totals)


@contextmanager
def resumable(command: str, unit: str, out: Path, bars: Bars) -> Iterator[None]:
    """On Ctrl-C, say what is kept and how to go on, and exit as a shell expects."""
    try:
        yield
    except KeyboardInterrupt:
        done, total = bars.counts
        streams.say(
            f"\nInterrupted: {done} of {total} {unit} are recorded in {out}.\n"
            f"Go on with: umup-diag {command} --resume {out}",
            err=True,
        )
        sys.exit(ExitCode.INTERRUPTED)


def print_result(
    result: "Result", view: "View", out: Path, *, every: bool, as_json: bool, quiet: bool
) -> None:
    """Print the result: as JSON and nothing else, as its verdict, or as its table and page."""
    from umup_diag.report import folder, json
    from umup_diag.report.style import verdict_line

    if as_json:
        streams.say_json(json.dumps(result))
        return
    console = streams.console()
    console.print(verdict_line(result) if quiet else view.table(result, every), crop=False)
    if not quiet:
        console.print(f"report: {out / folder.PAGE}", soft_wrap=True)
