"""The picture of a coord check: what was measured, against width."""

from collections.abc import Sequence
from math import ceil

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report.figure import PALETTE, png, power_of_two
from umup_diag.scaling.kinds import kind_order
from umup_diag.scaling.roles import Role

ROLE_COLOURS = dict(zip((*map(str, Role), "softmax", "other"), PALETTE, strict=False))
COLUMNS = 4


def figures(result: Result) -> dict[str, bytes]:
    """Value against width, a panel per kind, a line per tensor; nothing where no slope was judged.

    Colours are roles; a thick line fails, a dashed one is the expected slope of its role, drawn
    through the geometric mean of the role's tensors.
    """
    findings = [f for f in result.findings if isinstance(f, SlopeFinding) and f.points]
    panels = sorted({(finding.step, kind_order(finding.kind)) for finding in findings})
    if not panels:
        return {}
    rows = ceil(len(panels) / COLUMNS)
    with sns.axes_style("whitegrid"), mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(3.4 * COLUMNS, 3.0 * rows + 0.5), layout="constrained")
        axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for ax, panel in zip(axes, panels, strict=False):
            _panel(ax, [f for f in findings if (f.step, kind_order(f.kind)) == panel])
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        figure.suptitle(_title(result), fontsize=11)
        _legend(figure, findings)
        return {"coordcheck": png(figure)}


def _panel(ax: Axes, findings: Sequence[SlopeFinding]) -> None:
    first = findings[0]
    ax.set_title(f"{first.kind} {first.when}", fontsize=9)
    for finding in findings:
        failing = finding.verdict is Verdict.FAIL
        ax.plot(
            *zip(*finding.points, strict=True),
            color=ROLE_COLOURS[finding.role],
            linewidth=1.8 if failing else 0.9,
            alpha=1.0 if failing else 0.7,
            marker="o",
            markersize=3 if failing else 2,
        )
    for role in sorted({finding.role for finding in findings}):
        _expected(ax, [finding for finding in findings if finding.role == role])
    ax.set(xlabel="width", ylabel=first.kind)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    widths = sorted({width for finding in findings for width, _ in finding.points})
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.xaxis.set_minor_locator(NullLocator())
    low, high = (np.log2(edge) for edge in ax.get_ylim())
    if high - low < 2:  # a flat line should look flat
        middle = (low + high) / 2
        ax.set_ylim(2 ** (middle - 1), 2 ** (middle + 1))
    ax.yaxis.set_major_formatter(FuncFormatter(power_of_two))


def _expected(ax: Axes, findings: Sequence[SlopeFinding]) -> None:
    width, value = np.log2([point for finding in findings for point in finding.points]).T
    x = np.unique(width)
    line = value.mean() + findings[0].expected * (x - width.mean())
    colour = ROLE_COLOURS[findings[0].role]
    ax.plot(2**x, 2**line, color=[0.6 * c for c in colour], linestyle="--", linewidth=1.2, zorder=3)


def _title(result: Result) -> str:
    settings = result.settings
    return (
        f"{settings['model']}, {settings['optimizer'] or 'its own optimizer'}, "
        f"held to {settings['target']}: {result.verdict}"
    )


def _legend(figure: Figure, findings: Sequence[SlopeFinding]) -> None:
    roles = [role for role in ROLE_COLOURS if any(finding.role == role for finding in findings)]
    handles = [mpl.lines.Line2D([], [], color=ROLE_COLOURS[role], label=role) for role in roles]
    handles.append(mpl.lines.Line2D([], [], color="0.35", linestyle="--", label="expected slope"))
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        handles.append(mpl.lines.Line2D([], [], color="0.35", linewidth=1.8, label="fails"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
