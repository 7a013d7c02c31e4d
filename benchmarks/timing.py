"""Time contenders side by side: round after round, so that a busy machine is busy for all."""

import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

Contenders = Mapping[str, Callable[[], object]]


def race(contenders: Contenders, *, rounds: int) -> dict[str, float]:
    """Least seconds of each, after one run that is not counted.

    The least is what the code costs; the rest of a time is what else the machine was doing.
    """
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in seconds.items()}


def show(title: str, seconds: Mapping[str, float], *, against: str) -> None:
    """Print the times, and their ratio to one of them."""
    table = Table(title=title)
    table.add_column("what")
    table.add_column("ms", justify="right")
    table.add_column(f"× {against}", justify="right")
    for name, time_taken in seconds.items():
        table.add_row(name, f"{1e3 * time_taken:.3f}", f"{time_taken / seconds[against]:.2f}")
    Console(width=100).print(table)
