"""What a scale-law check draws: measured scales with the laws, and how far each law is off."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

from umup_diag.checks.result import Result
from umup_diag.checks.scale_law.finding import ScaleLawFinding, scale_law_findings
from umup_diag.checks.scale_law.law_fit import STANDARD_ERRORS, Assessment
from umup_diag.report.chart import Axis, Chart, Draw, Limit, Panel, Plot, Point, Series
from umup_diag.report.style import number
from umup_diag.scaling.op_theory import QUADRATURE

OFF_BY_FACTOR = 0.5  #: a law with a larger relative error has an axis of factors, not of percent
MEASURED, FITTED = "measured", "fitted law"


@dataclass(frozen=True, slots=True)
class Facet:
    """The points that one column of panels shows.

    Attributes:
        title: which they are.
        finding: whose.
        shown: indices of its points.
    """

    title: str
    finding: ScaleLawFinding
    shown: tuple[int, ...]


def charts(result: Result) -> list[Chart]:
    """With one parameter a chart of all quantities, with more a chart for each.

    The parameter with the most values runs along x, the second is the colour, the third the panel;
    any further one is held at its middle value.
    """
    findings = [
        f for f in scale_law_findings(result) if f.fitted and len(f.measurements.points) > 1
    ]
    if not findings:
        return []
    axes = _axes_by_size(findings[0])
    findings.sort(key=lambda finding: (not finding.kind.startswith("output"), finding.kind))
    tolerance = result.settings["tolerance"]
    op = findings[0].tensor
    if len(axes) == 1:
        facets = [Facet(f.kind, f, tuple(range(len(f.measurements.points)))) for f in findings]
        return [_chart("scale_law", f"Scale of {op}", facets, axes[0], None, tolerance)]
    return [
        _chart(
            finding.kind.replace(" ", "_").replace("(", "").replace(")", ""),
            f"Scale of {op}: {finding.kind}",
            list(_facets(finding, axes)),
            axes[0],
            axes[1],
            tolerance,
        )
        for finding in findings
    ]


def _axes_by_size(finding: ScaleLawFinding) -> list[str]:
    """The parameters by how many values they have, most first; of equals, the last one first."""
    points = finding.measurements.points
    places = {name: place for place, name in enumerate(points[0])}
    return sorted(places, key=lambda name: (len({p[name] for p in points}), places[name]))[::-1]


def _facets(finding: ScaleLawFinding, axes: Sequence[str]) -> Iterator[Facet]:
    points = finding.measurements.points
    shown = list(range(len(points)))
    for name in axes[3:]:
        values = sorted({point[name] for point in points})
        shown = [at for at in shown if points[at][name] == values[len(values) // 2]]
    if len(axes) == 2:
        yield Facet(finding.kind, finding, tuple(shown))
        return
    for value in sorted({points[at][axes[2]] for at in shown}):
        title = f"{axes[2]} = {value:g}"
        yield Facet(title, finding, tuple(at for at in shown if points[at][axes[2]] == value))


def _chart(
    stem: str, title: str, facets: Sequence[Facet], x: str, colour: str | None, tolerance: float
) -> Chart:
    panels: list[Panel] = [_laws(facet, x, colour) for facet in facets]
    for which in ("fitted", "published"):
        panels += [
            _errors(facet, law, x, colour, tolerance)
            for facet in facets
            if (law := _law(facet.finding, which)) is not None
        ]
    return Chart(
        stem=stem,
        title=title,
        caption="Dots are measured, with 95 % intervals; the line is the fitted law, dashed the "
        "published one. Then how far each law is off, over the tolerance in grey.",
        panels=panels,
        ordered=colour is not None,
        columns=len(facets),
    )


def _law(finding: ScaleLawFinding, which: str) -> Assessment | None:
    if which == "fitted":
        return finding.fitted
    return next((law for law in finding.laws if law.source != QUADRATURE), None)


def _laws(facet: Facet, x: str, colour: str | None) -> Plot:
    """Scales and laws against one parameter."""
    finding, measured = facet.finding, facet.finding.measurements
    series = []
    for group, shown in _curves(facet, x, colour):
        errors = STANDARD_ERRORS * measured.errors
        points = [
            Point(
                measured.points[at][x],
                float(measured.rms[at]),
                float(measured.rms[at]) * exp(-errors[at]),
                float(measured.rms[at]) * exp(errors[at]),
            )
            for at in shown
        ]
        name = group or MEASURED
        series.append(Series(name, points, draw=Draw.DOTS, group=name, finding=finding))
        for which, draw in (("fitted", Draw.LINE), ("published", Draw.DASHED)):
            law = _law(finding, which)
            if law is not None:
                line = [Point(measured.points[at][x], law.predicted[at]) for at in shown]
                label = law.source.name if which == "published" else FITTED
                series.append(
                    Series(f"{label} {group or ''}", line, draw=draw, group=group or label)
                )
    sizes = [float(measured.rms[at]) for at in facet.shown]
    fitted = finding.fitted
    off = f" The fitted law is off by at most {fitted.worst_error:+.2%}." if fitted else ""
    return Plot(
        title=facet.title,
        alt=f"Scale of the {finding.kind} of {finding.tensor} against {x} ({facet.title}): "
        f"measured from {number(min(sizes))} to {number(max(sizes))}.{off}",
        x=_parameter(facet, x),
        y=Axis("scale σ (RMS)", log2=True, least=1.0),
        series=series,
    )


def _errors(facet: Facet, law: Assessment, x: str, colour: str | None, tolerance: float) -> Plot:
    """How far a law is off, with the intervals of what was measured."""
    measured = facet.finding.measurements
    worst = max(abs(law.predicted[at] / measured.rms[at] - 1) for at in facet.shown)
    by_factor = worst > OFF_BY_FACTOR
    series = []
    for group, shown in _curves(facet, x, colour):
        points = []
        for at in shown:
            error = STANDARD_ERRORS * float(measured.errors[at])
            ratio = float(law.predicted[at] / measured.rms[at])
            ends = (ratio, ratio * exp(-error), ratio * exp(error))
            points.append(
                Point(measured.points[at][x], *(end if by_factor else end - 1 for end in ends))
            )
        is_fitted = law is facet.finding.fitted
        name = FITTED if is_fitted else law.source.name
        label = group or (MEASURED if is_fitted else name)
        series.append(Series(f"{name} {group or ''}", points, group=label, finding=None))
    if by_factor:
        y, limit = Axis("law / measured", log2=True), Limit(1 - tolerance, until=1 + tolerance)
    else:
        y, limit = Axis("law / measured − 1", percent=True), Limit(-tolerance, until=tolerance)
    title = FITTED if law is facet.finding.fitted else law.source.name
    return Plot(
        title=f"{facet.title}: {title}, error",
        alt=f"{title} over measured, against {x} ({facet.title}): off by up to "
        + (f"×{1 + worst:.3g}." if by_factor else f"{worst:.2%}.")
        + f" Tolerance {tolerance:.1%}.",
        x=_parameter(facet, x),
        y=y,
        series=series,
        limits=[limit],
    )


def _curves(facet: Facet, x: str, colour: str | None) -> Iterator[tuple[str | None, list[int]]]:
    """The points of each colour, along x."""
    points = facet.finding.measurements.points
    values = sorted({points[at][colour] for at in facet.shown}) if colour else [None]
    for value in values:
        shown = [at for at in facet.shown if colour is None or points[at][colour] == value]
        name = None if value is None else f"{colour} = {value:g}"
        yield name, sorted(shown, key=lambda at: points[at][x])


def _parameter(facet: Facet, x: str) -> Axis:
    """Logarithmic where all values are positive, as grids are."""
    values = sorted({facet.finding.measurements.points[at][x] for at in facet.shown})
    return Axis(x, log2=values[0] > 0)
