"""The picture of a unit-scale check: every tensor's RMS, in forward order."""

from collections.abc import Sequence
from math import ceil, isfinite

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.report.figure import png, power_of_two
from umup_diag.scaling.kinds import kind_order

COLUMNS = 2
_MARKERS = "osD^v<>P"
_COLOURS = {Verdict.PASS: "#1a7f37", Verdict.FAIL: "#cf222e", Verdict.INCONCLUSIVE: "#bf8700"}


def figures(result: Result) -> dict[str, bytes]:
    """RMS of each tensor, a panel per kind, with its interval; grey is what is accepted."""
    findings = [
        finding
        for finding in result.findings
        if isinstance(finding, ScaleFinding) and isfinite(finding.rms) and finding.rms > 0
    ]
    kinds = sorted({finding.kind for finding in findings}, key=kind_order)
    if not kinds:
        return {}
    rows = ceil(len(kinds) / COLUMNS)
    with sns.axes_style("whitegrid"), mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.2 * COLUMNS, 3.2 * rows + 0.5), layout="constrained")
        axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        widths = sorted({finding.width or 0 for finding in findings})
        for ax, kind in zip(axes, kinds, strict=False):
            _panel(ax, [f for f in findings if f.kind == kind], widths)
        for ax in axes[len(kinds) :]:
            ax.set_visible(False)
        figure.suptitle(f"{result.settings['model']} at init: {result.verdict}", fontsize=11)
        _legend(figure, findings, widths)
        return {"unit_scale": png(figure)}


def _panel(ax: Axes, findings: Sequence[ScaleFinding], widths: Sequence[int]) -> None:
    place = {f.tensor: f.order for f in findings}
    tensors = sorted(place, key=lambda tensor: (place[tensor], tensor))
    x = {tensor: index for index, tensor in enumerate(tensors)}
    ax.set_title(str(findings[0].kind), fontsize=9)
    for width in widths:
        group = sorted((f for f in findings if (f.width or 0) == width), key=lambda f: x[f.tensor])
        if not group:
            continue
        places = np.array([x[f.tensor] for f in group], dtype=float)
        edges = np.stack([places - 0.5, places + 0.5], axis=1).ravel()
        low, high = (np.repeat([f.accepted[end] for f in group], 2) for end in (0, 1))
        ax.fill_between(edges, low, high, color="0.5", alpha=0.25 / len(widths), linewidth=0)
        for verdict, colour in _COLOURS.items():
            chosen = [f for f in group if f.verdict is verdict]
            rms = np.array([f.rms for f in chosen])
            ends = np.array([f.interval for f in chosen]).reshape(-1, 2)
            ax.errorbar(
                [x[f.tensor] for f in chosen],
                rms,
                yerr=np.clip([rms - ends[:, 0], ends[:, 1] - rms], 0, rms * 8),
                color=colour,
                marker=_MARKERS[widths.index(width) % len(_MARKERS)],
                markersize=3.5,
                linestyle="none",
                elinewidth=0.8,
            )
    ax.set_yscale("log", base=2)
    low_end, high_end = ax.get_ylim()
    ax.set_ylim(min(low_end, 0.5), max(high_end, 2.0))
    ax.yaxis.set_major_formatter(FuncFormatter(power_of_two))
    ax.set_ylabel("RMS")
    ax.set_xlim(-0.7, len(tensors) - 0.3)
    if len(tensors) <= 24:
        ax.set_xticks(range(len(tensors)), tensors, rotation=60, ha="right", fontsize=6)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("place in the forward pass")


def _legend(figure: Figure, findings: Sequence[ScaleFinding], widths: Sequence[int]) -> None:
    line = mpl.lines.Line2D
    handles: list[mpl.artist.Artist] = [
        line([], [], color=colour, marker="o", linestyle="none", label=str(verdict))
        for verdict, colour in _COLOURS.items()
        if any(finding.verdict is verdict for finding in findings)
    ]
    if len(widths) > 1:
        handles += [
            line([], [], color="0.3", marker=marker, linestyle="none", label=f"width {width}")
            for marker, width in zip(_MARKERS, widths, strict=False)
        ]
    handles.append(mpl.patches.Patch(color="0.5", alpha=0.25, label="accepted"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
