"""What a coupling check draws: the grid of every pair, and loss over the runs of two searches."""

from collections.abc import Sequence
from math import isfinite

from umup_diag.checks.coupling.finding import (
    PairFinding,
    SearchFinding,
    pair_findings,
    search_findings,
)
from umup_diag.checks.result import Result
from umup_diag.report.chart import Axis, Chart, Draw, HeatMap, HeatRow, Plot, Point, Series

REACH = 0.2  #: nats that have the full colour


def charts(result: Result) -> list[Chart]:
    """Grids and transfer paths of pairs, or the searches."""
    drawn = []
    if pairs := pair_findings(result):
        worst = {frozenset((pair.tensor, pair.fixed)): pair for pair in reversed(pairs)}
        panels = [grid(pair) for pair in pairs if pair in worst.values()]
        drawn.append(
            Chart(
                stem="pairs",
                title="What one loses by the other",
                caption="The mean loss over seeds; blue is within what may be lost of the best, "
                "red is beyond. The transfer paths, over all seeds together: – is the best of its "
                "row, | of its column, + of both; in one line where nothing is lost. Other cells "
                "beyond are crossed.",
                panels=panels,
            )
        )
    drawn += [
        Chart(
            stem="searches",
            title="One by one, and at random",
            caption="Least loss after so many runs, the mean over seeds.",
            panels=[searches(search)],
            columns=1,
        )
        for search in search_findings(result)
        if search.independent
    ]
    return drawn


def grid(pair: PairFinding) -> HeatMap:
    """Nats to spare: what may be lost, less what the loss is over the best."""
    finite = [loss for row in pair.losses for loss in row if isfinite(loss)]
    best = min(finite, default=0.0)
    return HeatMap(
        title=f"{pair.tensor}, with {pair.fixed} fixed",
        alt=f"Loss over the grid of {pair.fixed} and {pair.tensor}: {pair.measured}.",
        columns=[f"{value:.3g}" for value in pair.values],
        column_title=pair.tensor,
        rows=[
            HeatRow(
                f"{pair.fixed} {fixed:.3g}",
                [pair.allowed + best - loss if isfinite(loss) else None for loss in losses],
                pair,
                marks,
            )
            for fixed, losses, marks in zip(
                pair.fixed_values, pair.losses, _paths(pair.losses), strict=True
            )
        ],
        value_title="nats to spare",
        reach=REACH,
    )


def _paths(losses: Sequence[Sequence[float]]) -> list[dict[int, str]]:
    """Marks of each row: – at the best of the row, | of the column, + of both."""
    of_column = [_best(column) for column in zip(*losses, strict=True)]
    marks = []
    for row, each in enumerate(losses):
        found = {at: "|" for at, best in enumerate(of_column) if best == row}
        if (at := _best(each)) is not None:
            found[at] = "+" if at in found else "–"
        marks.append(found)
    return marks


def _best(losses: Sequence[float]) -> int | None:
    """Where the least is; None where nothing trains."""
    return losses.index(min(losses)) if isfinite(min(losses)) else None


def searches(search: SearchFinding) -> Plot:
    """Least loss after each run."""
    traces = (("one by one", search.independent), ("at random", search.random))
    return Plot(
        title="least loss so far",
        alt=f"Least loss after each run, one by one and at random: {search.measured}.",
        x=Axis("runs"),
        y=Axis("loss, nats"),
        series=[
            Series(
                name=name,
                points=[
                    Point(run, loss) for run, loss in enumerate(losses, start=1) if isfinite(loss)
                ],
                draw=Draw.LINE,
                group=name,
            )
            for name, losses in traces
        ],
        height=280,
    )
