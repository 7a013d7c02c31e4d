"""What a coupling check draws: the grid of every pair, and loss over the runs of two searches."""

from math import isfinite

from umup_diag.checks.coupling.finding import (
    PairFinding,
    SearchFinding,
    pair_findings,
    search_findings,
)
from umup_diag.checks.result import Result
from umup_diag.report.chart import Axis, Chart, Draw, HeatMap, HeatRow, Panel, Plot, Point, Series

REACH = 0.2  #: nats that have the full colour


def charts(result: Result) -> list[Chart]:
    """Grids and transfer paths of pairs, or the searches."""
    drawn = []
    if pairs := pair_findings(result):
        panels: list[Panel] = [each for pair in pairs for each in (grid(pair), path(pair))]
        drawn.append(
            Chart(
                stem="pairs",
                title="What one loses by the other",
                caption="Left: the mean loss over seeds, a row a value of the fixed one; blue is "
                "within what may be lost of the best, red and crossed is beyond. Right: the "
                "transfer path, the best value of the tuned one at every value of the fixed one, "
                "over all seeds together; it is flat where nothing is lost.",
                panels=panels,
                columns=2,
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
                [pair.allowed + best - loss if isfinite(loss) else None for loss in row],
                pair,
            )
            for fixed, row in zip(pair.fixed_values, pair.losses, strict=True)
        ],
        value_title="nats to spare",
        reach=REACH,
    )


def path(pair: PairFinding) -> Plot:
    """The best value of the tuned one at every value of the fixed one."""
    points = [
        Point(fixed, pair.values[row.index(min(row))])
        for fixed, row in zip(pair.fixed_values, pair.losses, strict=True)
        if isfinite(min(row))
    ]
    return Plot(
        title=f"best {pair.tensor} by {pair.fixed}",
        alt=f"The best {pair.tensor} at each {pair.fixed}: {pair.measured}.",
        x=Axis(pair.fixed, log2=True),
        y=Axis(f"best {pair.tensor}", log2=True, least=4.0),
        series=[Series(name=f"best {pair.tensor}", points=points, finding=pair)],
    )


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
