"""Draw a scale-law result: measured points, the fitted and the published law, residuals below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from umup_diag.checks.interval import CONFIDENCE
from umup_diag.checks.result import Result
from umup_diag.checks.scale_law.finding import ScaleLawFinding, scale_law_findings
from umup_diag.checks.scale_law.law_fit import STANDARD_ERRORS, Assessment
from umup_diag.report.figure import png
from umup_diag.scaling.interpolation import Point
from umup_diag.scaling.op_theory import QUADRATURE

Array = npt.NDArray[np.float64]
COLUMN_INCHES, HEIGHT_INCHES = 3.1, 5.6
INK, GRID, PUBLISHED = "#1f2933", "#e4e7eb", "#c2410c"
SHOWN_RESIDUAL = 0.5
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of panels: a finding, and which of its points it shows."""

    title: str
    finding: ScaleLawFinding
    shown: tuple[int, ...]


def pictures(result: Result) -> dict[str, bytes]:
    """`figures` as PNG."""
    drawn = figures(result, tolerance=result.settings["tolerance"])
    return {stem: png(figure) for stem, figure in drawn.items()}


def figures(result: Result, *, tolerance: float) -> dict[str, Figure]:
    """Every figure of a result by file stem, each with laws above and residuals below.

    With one parameter: a single figure, one column per quantity. With more: one figure per
    quantity; the parameter with the most values runs along x, the second is the colour, the third
    the column.
    """
    findings = [
        f for f in scale_law_findings(result) if f.fitted and len(f.measurements.points) > 1
    ]
    if not findings:
        return {}
    axes = _axes_by_size(findings[0].measurements.points)
    findings.sort(key=lambda finding: (not finding.kind.startswith("output"), finding.kind))
    if len(axes) == 1:
        columns = [Column(f.kind, f, tuple(range(len(f.measurements.points)))) for f in findings]
        return {"scale_law": _draw(columns, axes[0], None, f"{findings[0].tensor}", tolerance)}
    return {
        finding.kind.replace(" ", "_").replace("(", "").replace(")", ""): _draw(
            _facets(finding, axes), axes[0], axes[1], f"{finding.tensor}: {finding.kind}", tolerance
        )
        for finding in findings
    }


def _axes_by_size(points: Sequence[Point]) -> list[str]:
    """The parameters by how many values they have, most first; of equals, the last one first."""
    places = {name: place for place, name in enumerate(points[0])}
    return sorted(places, key=lambda name: (len({p[name] for p in points}), places[name]))[::-1]


def _facets(finding: ScaleLawFinding, axes: Sequence[str]) -> list[Column]:
    points = finding.measurements.points
    rest = axes[2:]
    # A fourth parameter and any further one are held at their middle value.
    for name in rest[1:]:
        middle = sorted({p[name] for p in points})
        points = tuple(p for p in points if p[name] == middle[len(middle) // 2])
    indices = {id(p): i for i, p in enumerate(finding.measurements.points)}
    if not rest:
        return [Column("", finding, tuple(indices[id(p)] for p in points))]
    return [
        Column(
            f"{rest[0]} = {value:g}",
            finding,
            tuple(indices[id(p)] for p in points if p[rest[0]] == value),
        )
        for value in sorted({p[rest[0]] for p in points})
    ]


def _draw(
    columns: Sequence[Column], x: str, colour: str | None, title: str, tolerance: float
) -> Figure:
    with mpl.rc_context(_STYLE):
        figure = Figure(
            figsize=(COLUMN_INCHES * len(columns) + 1.3, HEIGHT_INCHES), layout="constrained"
        )
        grid = figure.subplots(
            2,
            len(columns),
            sharex=True,
            sharey="row" if colour else False,
            squeeze=False,
            height_ratios=(2, 1.15),
        )
        palette = _palette(columns, colour)
        for index, column in enumerate(columns):
            top, bottom = grid[0, index], grid[1, index]
            for value, ink in palette.items():
                _curves(top, bottom, column, x, colour, value, ink)
            _dress(top, bottom, column, x)
            _frame_residuals(bottom, columns if colour else [column], tolerance)
        grid[0, 0].set_ylabel("scale σ (RMS)")
        grid[1, 0].set_ylabel("law / measured − 1")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
        _legend(figure, columns, colour, palette)
    return figure


def _palette(columns: Sequence[Column], colour: str | None) -> dict[float | None, str]:
    if colour is None:
        return {None: "#0f766e"}
    values = sorted({c.finding.measurements.points[i][colour] for c in columns for i in c.shown})
    shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, len(values)))
    return {value: mpl.colors.to_hex(shade) for value, shade in zip(values, shades, strict=True)}


def _curves(
    top: Axes,
    bottom: Axes,
    column: Column,
    x: str,
    colour: str | None,
    value: float | None,
    ink: str,
) -> None:
    finding = column.finding
    measured = finding.measurements
    shown = [i for i in column.shown if colour is None or measured.points[i][colour] == value]
    shown.sort(key=lambda i: measured.points[i][x])
    if not shown or finding.fitted is None:
        return
    at = np.array([measured.points[i][x] for i in shown])
    rms = measured.rms[shown]
    errors = STANDARD_ERRORS * measured.relative_error[shown]
    top.errorbar(at, rms, yerr=rms * errors, fmt="o", ms=3.2, color=ink, lw=1, zorder=3)
    drawn: list[tuple[Assessment, str, float, str]] = [(finding.fitted, "-", 1.5, ink)]
    published = _published(finding)
    if published is not None:
        drawn.append((published, (0, (4, 2)), 1.0, ink if colour else PUBLISHED))  # type: ignore[arg-type]
    for law, dash, width, shade in drawn:
        predicted = np.array(law.predicted)[shown]
        top.plot(at, predicted, ls=dash, lw=width, color=shade, zorder=2)
        if _reach(law, column) < SHOWN_RESIDUAL:
            bottom.plot(at, predicted / rms - 1, ls=dash, lw=width, color=shade, zorder=2)
    fitted = np.array(finding.fitted.predicted)[shown]
    bottom.errorbar(
        at, fitted / rms - 1, yerr=fitted / rms * errors, fmt="o", ms=2.6, lw=1, color=ink, zorder=3
    )


def _published(finding: ScaleLawFinding) -> Assessment | None:
    return next((law for law in finding.laws if law.source != QUADRATURE), None)


def _frame_residuals(bottom: Axes, columns: Sequence[Column], tolerance: float) -> None:
    """Room for both laws' residuals; a law that is off by half or more is left out below."""
    reach = 0.0
    for column in columns:
        finding = column.finding
        for law in (finding.fitted, _published(finding)):
            if law is not None:
                off = _reach(law, column)
                reach = max(reach, off if off < SHOWN_RESIDUAL else 0.0)
    reach = 1.25 * max(reach, 0.004)
    bottom.set_ylim(-reach, reach)
    bottom.axhspan(-tolerance, tolerance, color="#0f766e", alpha=0.07, lw=0)


def _reach(law: Assessment, column: Column) -> float:
    off = np.abs(np.array(law.predicted) / column.finding.measurements.rms - 1)
    return float(off[list(column.shown)].max())


def _dress(top: Axes, bottom: Axes, column: Column, x: str) -> None:
    top.set_title(column.title, loc="left", fontsize=9.5)
    top.set_xscale("log", base=2)
    scales = column.finding.measurements.rms
    if scales.max() / scales.min() > 4:
        top.set_yscale("log", base=2)
        top.yaxis.set_major_locator(LogLocator(base=2, numticks=9))
        top.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _fraction(v)))
        top.yaxis.set_minor_formatter(NullFormatter())
    bottom.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _fraction(v)))
    bottom.axhline(0, color="#9aa5b1", lw=0.8)
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _percent(v)))
    bottom.set_xlabel(x)


def _percent(value: float) -> str:
    return "0" if abs(value) < 1e-9 else f"{100 * value:+.3g} %".replace("-", "−")


def _fraction(value: float) -> str:
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"


def _legend(
    figure: Figure,
    columns: Sequence[Column],
    colour: str | None,
    palette: dict[float | None, str],
) -> None:
    neutral = "#52606d"
    points = f"measured, {CONFIDENCE:.0%} interval"
    fitted_ink = neutral if colour else palette[None]
    handles = [
        Line2D([], [], marker="o", ls="", ms=4, color=fitted_ink, label=points),
        Line2D([], [], color=fitted_ink, lw=1.5, label="fitted law"),
    ]
    published = next((law for c in columns if (law := _published(c.finding))), None)
    if published is not None:
        name = published.source.name
        handles.append(
            Line2D(
                [], [], color=neutral if colour else PUBLISHED, lw=1.0, ls=(0, (4, 2)), label=name
            )
        )
    if colour is not None:
        handles += [
            Line2D([], [], marker="s", ls="", ms=6, color=ink, label=f"{colour} = {value:g}")
            for value, ink in palette.items()
        ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8.5)
