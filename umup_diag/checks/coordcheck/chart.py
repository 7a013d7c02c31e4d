"""What a coord check draws: everything that was measured, against width and other axes."""

from collections import Counter
from collections.abc import Sequence

from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Axis, Chart, Plot, Point, Series, Slope
from umup_diag.report.style import signed
from umup_diag.scaling.kinds import kind_order
from umup_diag.settings.axes import WIDTH

STEM = "coordcheck"  #: of the picture over width; another axis adds its name


def charts(result: Result) -> list[Chart]:
    """Value against size, a chart an axis, a panel a kind and moment, a line a tensor."""
    findings = [f for f in result.findings if isinstance(f, SlopeFinding) and f.points]
    axes = dict.fromkeys(finding.axis for finding in findings)
    return [_chart(axis, [each for each in findings if each.axis == axis]) for axis in axes]


def _chart(axis: str, findings: Sequence[SlopeFinding]) -> Chart:
    panels: dict[tuple[int, int], list[SlopeFinding]] = {}
    for finding in findings:
        panels.setdefault((finding.step, kind_order(finding.kind)), []).append(finding)
    return Chart(
        stem=STEM if axis == WIDTH else f"{STEM}_{axis}",
        title=f"What was measured, against {axis}",
        caption="A line a tensor, coloured by role. What fails is thick, with square dots; "
        "beside it, dashed, the slope that is right, and the 95 % interval of its own as a "
        "band. Triangles: not decided.",
        panels=[_panel(panels[at]) for at in sorted(panels)],
    )


def _panel(findings: Sequence[SlopeFinding]) -> Plot:
    first = findings[0]
    sizes = sorted({size for finding in findings for size, _ in finding.points})
    forward = sorted(findings, key=lambda finding: finding.order)
    return Plot(
        title=f"{first.kind} {first.when}",
        alt=_alt(forward),
        x=Axis(first.axis, log2=True, ticks={size: str(size) for size in sizes}),
        y=Axis(first.kind, log2=True, least=2.0),
        series=[
            Series(
                name=finding.tensor,
                points=[Point(*point) for point in finding.points],
                group=finding.role,
                finding=finding,
                slope=Slope(finding.expected, finding.interval),
            )
            for finding in forward
        ],
    )


def _alt(findings: Sequence[SlopeFinding]) -> str:
    """What the panel shows, in words."""
    first = findings[0]
    counts = Counter(finding.verdict for finding in findings)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    slopes = sorted(finding.slope for finding in findings)
    text = (
        f"{first.kind} {first.when} against {first.axis}, {len(findings)} tensors: {said}. "
        f"Slopes from {signed(slopes[0])} to {signed(slopes[-1])}."
    )
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    if failing:
        worst = failing[0]
        text += (
            f" {worst.tensor} comes first in the forward pass of those that fail: {worst.measured}."
        )
    return text
