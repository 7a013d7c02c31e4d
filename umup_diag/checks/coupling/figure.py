"""The pictures of a coupling check: heat maps of pairs, and loss over the runs of two searches."""

from math import ceil

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from umup_diag.checks.coupling.finding import (
    PairFinding,
    SearchFinding,
    pair_findings,
    search_findings,
)
from umup_diag.checks.result import Result
from umup_diag.report.figure import PALETTE, png

COLUMNS = 4
RANGE = 0.5  #: nats over the best that the colours span


def figures(result: Result) -> dict[str, bytes]:
    """``pairs``, a panel a pair each way, or ``searches``."""
    pictures = {}
    with sns.axes_style("white"), mpl.rc_context({"font.size": 9}):
        if pairs := pair_findings(result):
            columns = min(COLUMNS, len(pairs))
            rows = ceil(len(pairs) / columns)
            figure = Figure(figsize=(3.4 * columns, 3.1 * rows + 0.4), layout="constrained")
            axes = figure.subplots(rows, columns, squeeze=False).ravel()
            for ax, pair in zip(axes, pairs, strict=False):
                draw_pair(ax, pair)
            for ax in axes[len(pairs) :]:
                ax.set_visible(False)
            figure.suptitle(f"{result.settings['model']}: {result.verdict}")
            pictures["pairs"] = png(figure)
        for search in search_findings(result):
            if search.independent:
                figure = Figure(figsize=(5.6, 3.6), layout="constrained")
                draw_searches(figure.subplots(), search)
                figure.suptitle(f"{result.settings['model']}: {result.verdict}")
                pictures["searches"] = png(figure)
    return pictures


def draw_pair(ax: Axes, pair: PairFinding) -> None:
    """Mean loss as colours, the best of each row ringed and joined, the best of all starred."""
    losses = np.array(pair.losses)
    shown = np.where(np.isfinite(losses), losses, np.nan)
    lowest = np.nanmin(shown)
    ax.imshow(shown, cmap="viridis_r", vmin=lowest, vmax=lowest + RANGE, origin="lower")
    ax.set_facecolor("0.8")
    best = losses.argmin(axis=1)
    rows = np.arange(len(best))
    ax.plot(best, rows, "o-", color="white", markerfacecolor="none", linewidth=1)
    row, column = np.unravel_index(int(np.argmin(losses)), losses.shape)
    ax.plot(column, row, marker="*", markersize=12, color="white", markeredgecolor="black")
    ax.set_xticks(range(len(pair.values)), [f"{value:.3g}" for value in pair.values], rotation=45)
    ax.set_yticks(rows, [f"{value:.3g}" for value in pair.fixed_values])
    ax.set(xlabel=pair.tensor, ylabel=pair.fixed)
    ax.set_title(f"lost: {pair.error:.3f} nats, {pair.verdict}", fontsize=9)


def draw_searches(ax: Axes, search: SearchFinding) -> None:
    """Least loss after each run."""
    for losses, label, colour in zip(
        (search.independent, search.random), ("one by one", "at random"), PALETTE, strict=False
    ):
        ax.step(range(1, len(losses) + 1), losses, where="post", label=label, color=colour)
    ax.set(xlabel="runs", ylabel="least loss so far, nats")
    ax.grid(visible=True)
    ax.legend()
