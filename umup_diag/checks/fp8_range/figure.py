"""Pictures of FP8 range: what each tensor spans, how its RMS moves, and what room is left when."""

from collections.abc import Sequence
from math import ceil, floor, isfinite, log2
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from umup_diag.checks.fp8_range.finding import RangeFinding, range_findings
from umup_diag.checks.fp8_range.format_fit import Flag
from umup_diag.checks.result import Result
from umup_diag.numerics import formats
from umup_diag.numerics.block import SELF_SCALED
from umup_diag.numerics.formats import Format
from umup_diag.report.figure import PALETTE, png
from umup_diag.report.names import collapse
from umup_diag.scaling.kinds import kind_order

FLAG_COLOURS = {
    Flag.OK: PALETTE[0],
    Flag.NEAR_MIN_NORMAL: PALETTE[1],
    Flag.NEAR_MAX: PALETTE[1],
    Flag.UNDERFLOW: PALETTE[3],
    Flag.OVERFLOW: PALETTE[3],
    Flag.NON_FINITE: PALETTE[3],
}
_LEGEND = {"ok": Flag.OK, "near a limit": Flag.NEAR_MAX, "beyond it": Flag.OVERFLOW}
MOST_BARS = 48
"""Above this many tensors of a kind, those of repeated layers share a bar."""
_LOWEST = -44.0  # octaves; smaller magnitudes are drawn as an arrow out of the picture
_GREY = "0.45"

Group = list[RangeFinding]  #: findings of one kind, or those that share a bar


def figures(result: Result) -> dict[str, bytes]:
    """File stem → PNG; those through training need two snapshots."""
    drawn = {
        "spans": spans(result),
        "training": through_training(result),
        "headroom": headroom(result),
    }
    return {stem: picture for stem, picture in drawn.items() if picture is not None}


def spans(result: Result) -> bytes | None:
    """Per tensor a bar from the smallest to the largest magnitude, RMS marked, a panel per kind.

    The shaded band is where the format that the kind is held to has all its mantissa bits; left of
    it numbers are subnormal, then zero.
    """
    panels = [_rows(group) for group in _by_kind(result)]
    panels = [rows for rows in panels if rows]
    if not panels:
        return None
    tallest = max(map(len, panels))
    with sns.axes_style("white"), mpl.rc_context({"font.size": 8.5}):
        figure = Figure(
            figsize=(2.2 + 4.2 * len(panels), 1.6 + 0.17 * tallest), layout="constrained"
        )
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        lowest = min(_low(finding) for rows in panels for _, group in rows for finding in group)
        low = max(floor(lowest) - 1.0, _LOWEST)
        for ax, rows in zip(axes, panels, strict=True):
            _span_panel(ax, rows, low)
        handles: list[Any] = [
            mpl.lines.Line2D([], [], color=FLAG_COLOURS[flag], linewidth=4, label=label)
            for label, flag in _LEGEND.items()
        ]
        handles.append(
            mpl.lines.Line2D([], [], color="black", linestyle="none", marker="|", label="RMS")
        )
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        return png(figure)


def through_training(result: Result) -> bytes | None:
    """RMS against the step, a panel per kind, a line per tensor, coloured by layer type."""
    kinds = [group for group in _by_kind(result) if _steps(group)]
    if not kinds:
        return None
    forward = sorted((f for group in kinds for f in group), key=lambda finding: finding.order)
    names = collapse(finding.tensor for finding in forward)
    colours = dict(zip(names, sns.husl_palette(len(names), s=0.8, l=0.55), strict=True))
    with sns.axes_style("whitegrid", {"grid.color": "0.92"}), mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(1.0 + 4.0 * len(kinds), 4.4), layout="constrained")
        axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
        for ax, group in zip(axes, kinds, strict=True):
            _training_panel(ax, group, colours)
        axes[0].set_ylabel("RMS")
        handles = [
            mpl.lines.Line2D([], [], color=colours[name], label=_short(name)) for name in names
        ]
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=ceil(len(handles) / ceil(len(handles) / 6)),
            frameon=False,
        )
        return png(figure)


def headroom(result: Result) -> bytes | None:
    """Octaves of room at the tighter end, a row per tensor, a column per recorded step."""
    kinds = [group for group in _by_kind(result) if _steps(group)]
    if not kinds:
        return None
    tallest = max(map(len, kinds))
    with sns.axes_style("white"), mpl.rc_context({"font.size": 8.5}):
        figure = Figure(
            figsize=(2.4 + 4.2 * len(kinds), 1.2 + 0.17 * tallest), layout="constrained"
        )
        axes = figure.subplots(1, len(kinds), squeeze=False)[0]
        grids = [_grid(group) for group in kinds]
        norm = TwoSlopeNorm(vmin=-14.0, vcenter=1.0, vmax=8.0)
        for ax, group, grid in zip(axes, kinds, grids, strict=True):
            image = _heat_panel(ax, group, grid, norm)
        bar = figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.01, extend="both")
        bar.set_label("octaves of room at the tighter end")
        return png(figure)


def _by_kind(result: Result) -> list[Group]:
    kinds: dict[str, Group] = {}
    for finding in range_findings(result):
        if finding.held_to.format not in SELF_SCALED and finding.rms > 0:
            kinds.setdefault(finding.kind, []).append(finding)
    ordered = sorted(kinds, key=kind_order)
    return [sorted(kinds[kind], key=lambda finding: finding.order) for kind in ordered]


def _steps(group: Group) -> list[int]:
    steps = [step for step, _, _ in group[0].points if step is not None]
    return steps if len(steps) > 1 else []


def _rows(group: Group) -> list[tuple[str, Group]]:
    """What shares a bar, under which name."""
    if len(group) <= MOST_BARS:
        return [(finding.tensor, [finding]) for finding in group]
    rows: dict[str, Group] = {}
    for finding in group:
        rows.setdefault(collapse([finding.tensor])[0], []).append(finding)
    return list(rows.items())[:MOST_BARS]


def _low(finding: RangeFinding) -> float:
    return log2(finding.smallest_nonzero) if finding.smallest_nonzero > 0 else 0.0


def _span_panel(ax: Axes, rows: Sequence[tuple[str, Group]], low: float) -> None:
    fmt = formats.get(rows[0][1][0].held_to.format)
    top, normal, flush = _limits(fmt)
    right = max(top + 3.0, *(log2(f.absmax) + 1 for _, group in rows for f in group))
    ax.axvspan(normal, top, color=PALETTE[2], alpha=0.13, linewidth=0)
    ax.axvspan(flush, normal, color=PALETTE[1], alpha=0.13, linewidth=0)
    for at, (_, group) in enumerate(rows):
        colour = FLAG_COLOURS[max((f.held_to.flag for f in group), key=lambda flag: flag.severity)]
        left = max(min(map(_low, group)), low)
        ax.hlines(
            at, left, max(log2(f.absmax) for f in group), color=colour, linewidth=4.5, alpha=0.75
        )
        for finding in group:
            ax.plot(log2(finding.rms), at, marker="|", color="black", markersize=8, zorder=3)
    for limit, label in ((flush, "zero"), (normal, "min normal"), (top, "max")):
        ax.axvline(limit, color=_GREY, linewidth=0.8, linestyle="--", zorder=0)
        ax.annotate(
            label,
            (limit, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=({"zero": 2, "min normal": -3}.get(label, 0), 3),
            textcoords="offset points",
            ha={"zero": "right", "min normal": "left"}.get(label, "center"),
            fontsize=7.5,
            color=_GREY,
        )
    ax.set_title(f"{rows[0][1][0].kind}, {fmt.name}", fontsize=10, pad=16)
    ax.set_yticks(range(len(rows)), [_short(name) for name, _ in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(low, right)
    ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(_power))
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def _training_panel(ax: Axes, group: Group, colours: dict[str, Any]) -> None:
    fmt = formats.get(group[0].held_to.format)
    top, normal, flush = _limits(fmt)
    for finding in group:
        points = [(s, log2(rms)) for s, rms, _ in finding.points if s is not None and rms > 0]
        colour = colours[collapse([finding.tensor])[0]]
        ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.1, alpha=0.85)
    values = [log2(rms) for finding in group for _, rms, _ in finding.points if rms > 0]
    for at, label in ((flush, "zero"), (normal, "min normal"), (top, "max")):
        ax.axhline(at, color=_GREY, linewidth=0.8, linestyle="--", zorder=1)
        ax.annotate(
            f"{fmt.name} {label}",
            (1.0, at),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=_GREY,
        )
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, min(values) - 1, flush - 1), max(high, max(values) + 1, top + 1.5))
    ax.set_title(group[0].kind, fontsize=10)
    ax.set_xlabel("updates")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(9, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(_power))
    sns.despine(ax=ax, left=True)


def _grid(group: Group) -> np.ndarray[Any, np.dtype[np.float64]]:
    top, normal, _ = _limits(formats.get(group[0].held_to.format))
    return np.array(
        [
            [
                min(top - log2(absmax), log2(rms) - normal) if rms > 0 else np.nan
                for step, rms, absmax in finding.points
                if step is not None
            ]
            for finding in group
        ]
    )


def _heat_panel(
    ax: Axes, group: Group, grid: np.ndarray[Any, np.dtype[np.float64]], norm: TwoSlopeNorm
) -> Any:
    steps = _steps(group)
    image = ax.imshow(grid, aspect="auto", cmap="RdYlBu", norm=norm, interpolation="nearest")
    ax.set_yticks(range(len(group)), [_short(finding.tensor) for finding in group])
    every = max(1, ceil(len(steps) / 6))
    ax.set_xticks(range(0, len(steps), every), [str(step) for step in steps[::every]])
    ax.set_xlabel("updates")
    ax.set_title(f"{group[0].kind}, {group[0].held_to.format}", fontsize=10)
    ax.tick_params(length=0)
    sns.despine(ax=ax, left=True, bottom=True)
    return image


def _limits(fmt: Format) -> tuple[float, float, float]:
    return log2(fmt.max), log2(fmt.min_normal), log2(fmt.flush_threshold)


def _short(name: str) -> str:
    return name if len(name) <= 34 else "…" + name[-33:]


def _power(value: float, _: Any) -> str:
    return f"$2^{{{value:g}}}$" if isfinite(value) else ""
