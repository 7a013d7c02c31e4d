"""The pictures of a transfer check: loss against the hyperparameter, and its optimum over size."""

from math import isfinite

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from umup_diag.checks.result import Result
from umup_diag.checks.transfer.finding import SizeOptimum, TransferFinding, transfer_findings
from umup_diag.report.figure import png, power_of_two

ABOVE = 1.0  #: nats over the lowest loss that are shown


def figures(result: Result) -> dict[str, bytes]:
    """``loss`` and ``drift``; the latter where every size has an optimum."""
    pictures = {}
    for finding in transfer_findings(result):
        with sns.axes_style("whitegrid"), mpl.rc_context({"font.size": 9}):
            figure = Figure(figsize=(6.4, 4.2), layout="constrained")
            draw_losses(figure.subplots(), finding)
            figure.suptitle(_title(result))
            pictures["loss"] = png(figure)
            if finding.drift is not None:
                figure = Figure(figsize=(4.8, 3.6), layout="constrained")
                draw_drift(figure.subplots(), finding)
                figure.suptitle(_title(result))
                pictures["drift"] = png(figure)
    return pictures


def draw_losses(ax: Axes, finding: TransferFinding) -> None:
    """Final loss against the hyperparameter, a line a size, with fit, optimum and interval."""
    colours = sns.color_palette("viridis", len(finding.sizes))
    lowest = min(
        (point.loss for size in finding.sizes for point in size.points), default=float("inf")
    )
    for size, colour in zip(finding.sizes, colours, strict=True):
        _draw_size(ax, size, colour)
    if isfinite(lowest):
        ax.set_ylim(lowest - 0.05 * ABOVE, lowest + ABOVE)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(FuncFormatter(power_of_two))
    ax.set(xlabel=finding.tensor, ylabel="final loss, nats")
    ax.legend(title=finding.axis)


def _draw_size(ax: Axes, size: SizeOptimum, colour: tuple[float, float, float]) -> None:
    points = [point for point in size.points if isfinite(point.loss)]
    ax.errorbar(
        [point.value for point in points],
        [point.loss for point in points],
        yerr=[point.error if isfinite(point.error) else 0.0 for point in points],
        color=colour,
        marker="o",
        markersize=3,
        linewidth=0.9,
        label=f"{size.size:g}",
    )
    if size.log2 is None or size.curvature is None or size.loss is None or size.interval is None:
        return
    fitted = np.log2([point.value for point in points if point.is_fitted])
    x = np.linspace(fitted.min(), fitted.max(), 60)
    loss = size.loss + size.curvature * (x - size.log2) ** 2
    ax.plot(2.0**x, loss, color=colour, linestyle=":", linewidth=1.2)
    half = size.interval[1] - size.log2
    if isfinite(half):
        ends = 2.0 ** np.array([size.log2 - half, size.log2 + half])
        ax.plot(ends, [size.loss] * 2, color=colour, linewidth=4, alpha=0.5)
    ax.plot(2.0**size.log2, size.loss, marker="*", markersize=12, color=colour)


def draw_drift(ax: Axes, finding: TransferFinding) -> None:
    """The optimum against size, the line through it, and the drifts that pass."""
    sizes = [(s.size, s.log2, s.interval) for s in finding.sizes if s.log2 is not None]
    x = np.log2([size for size, _, _ in sizes])
    at = np.array([log2 for _, log2, _ in sizes])
    half = np.array([(ends[1] - ends[0]) / 2 if ends else 0.0 for _, _, ends in sizes])
    ax.errorbar(x, at, yerr=np.where(np.isfinite(half), half, 0.0), fmt="o", color="C0", capsize=3)
    if finding.drift is not None and finding.band is not None:
        ax.plot(x, at.mean() + finding.drift * (x - x.mean()), color="C0", linewidth=1)
        edge = finding.band[1] * (x - x[0])
        ax.fill_between(x, at[0] - edge, at[0] + edge, color="0.5", alpha=0.2, linewidth=0)
    ax.set_xticks(x, [f"{size:g}" for size, _, _ in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=finding.axis, ylabel=f"log2 of the best {finding.tensor}")


def _title(result: Result) -> str:
    settings = result.settings
    return f"{settings['model']}, {settings['hp']}: {result.verdict}"
