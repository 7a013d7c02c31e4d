"""What a transfer check draws: loss against the hyperparameter, and its optimum over size."""

from math import isfinite

from umup_diag.checks.result import Result
from umup_diag.checks.transfer.finding import SizeOptimum, TransferFinding, transfer_findings
from umup_diag.report.chart import Axis, Chart, Draw, Plot, Point, Series
from umup_diag.report.style import number

ABOVE = 1.0  #: nats over a size's lowest loss that are shown
BENDS = 24  #: points that a fitted curve is drawn with


def charts(result: Result) -> list[Chart]:
    """Loss at every size, with what was fitted; and the drift, where every size has an optimum."""
    return [
        Chart(
            stem="transfer",
            title=f"Best {finding.tensor} over {finding.axis}",
            caption="Loss: the mean over seeds, with its standard error; dashed, the quadratic "
            "around the best value, and the level line at its bottom is the 95 % interval of the "
            "optimum. "
            "Drift: the optimum of every size with its 95 % interval, the line through them, and "
            "in grey the drifts from the first that pass.",
            panels=[losses(finding), *([drifts(finding)] if finding.drift is not None else [])],
            ordered=True,
            columns=2,
        )
        for finding in transfer_findings(result)
    ]


def losses(finding: TransferFinding) -> Plot:
    """Final loss against the hyperparameter, a line a size."""
    series = [each for size in finding.sizes for each in _of_size(size, finding)]
    best = ", ".join(
        f"{number(2.0**size.log2)} at {size.size:g}"
        for size in finding.sizes
        if size.log2 is not None
    )
    return Plot(
        title=f"loss against {finding.tensor}",
        alt=f"Final loss against {finding.tensor}, a line for each {finding.axis}; "
        f"the best value is {best or 'not found at any'}.",
        x=Axis(finding.tensor, log2=True),
        y=Axis("final loss, nats"),
        series=series,
        height=280,
    )


def _of_size(size: SizeOptimum, finding: TransferFinding) -> list[Series]:
    group = f"{finding.axis} {size.size:g}"
    finite = [point for point in size.points if isfinite(point.loss)]
    lowest = min((point.loss for point in finite), default=0.0)
    shown = [point for point in finite if point.loss <= lowest + ABOVE]
    drawn = [
        Series(
            name=group,
            points=[
                Point(point.value, point.loss, point.loss - error, point.loss + error)
                for point in shown
                for error in [point.error if isfinite(point.error) else 0.0]
            ],
            group=group,
            finding=finding,
        )
    ]
    if size.log2 is None or size.curvature is None or size.loss is None or size.interval is None:
        return drawn
    fitted = [point.value for point in size.points if point.is_fitted]
    low, high = min(fitted), max(fitted)
    at = [low * (high / low) ** (step / BENDS) for step in range(BENDS + 1)]
    drawn.append(
        Series(name=f"{group}, fitted", points=[Point(x, size.at(x)) for x in at], draw=Draw.DASHED)
    )
    if all(map(isfinite, size.interval)):
        ends = [Point(2.0**end, size.loss) for end in size.interval]
        drawn.append(Series(name=f"{group}, best", points=ends, draw=Draw.LINE, group=group))
    return drawn


def drifts(finding: TransferFinding) -> Plot:
    """The optimum against size."""
    assert finding.drift is not None
    assert finding.band is not None
    found = [(s.size, s.log2, s.interval) for s in finding.sizes if s.log2 is not None]
    first_size, first, _ = found[0]
    last_size = found[-1][0]
    middle = sum(log2 for _, log2, _ in found) / len(found)
    ratio = [size / first_size for size, _, _ in found]
    centre = 1.0
    for each in ratio:
        centre *= each ** (1 / len(ratio))
    edge = finding.band[1]
    return Plot(
        title=f"best {finding.tensor} against {finding.axis}",
        alt=f"The best {finding.tensor} against {finding.axis}: {finding.measured}.",
        x=Axis(finding.axis, log2=True, ticks={size: f"{size:g}" for size, _, _ in found}),
        y=Axis(f"best {finding.tensor}", log2=True, least=2.0),
        series=[
            Series(
                name="passing",
                points=[
                    Point(
                        size,
                        2.0**first,
                        2.0**first * (size / first_size) ** -edge,
                        2.0**first * (size / first_size) ** edge,
                    )
                    for size, _, _ in found
                ],
                draw=Draw.BAND,
            ),
            Series(
                name="drift",
                points=[
                    Point(size, 2.0**middle * (size / first_size / centre) ** finding.drift)
                    for size in (first_size, last_size)
                ],
                draw=Draw.DASHED,
            ),
            Series(
                name=f"best {finding.tensor}",
                points=[Point(size, 2.0**log2, *_ends(interval)) for size, log2, interval in found],
                draw=Draw.DOTS,
                finding=finding,
            ),
        ],
        height=280,
    )


def _ends(interval: tuple[float, float] | None) -> tuple[float, ...]:
    """As values, where there are any."""
    if interval is None or not all(map(isfinite, interval)):
        return ()
    return tuple(2.0**end for end in interval)
