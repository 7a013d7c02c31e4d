"""What a coord check draws: everything that was measured, against width."""

from collections import Counter
from collections.abc import Sequence

from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Axis, Chart, Plot, Point, Series, Slope
from umup_diag.report.style import signed
from umup_diag.scaling.kinds import kind_order


def charts(result: Result) -> list[Chart]:
    """Value against width, a panel a kind and moment, a line a tensor."""
    findings = [f for f in result.findings if isinstance(f, SlopeFinding) and f.points]
    panels: dict[tuple[int, int], list[SlopeFinding]] = {}
    for finding in findings:
        panels.setdefault((finding.step, kind_order(finding.kind)), []).append(finding)
    if not panels:
        return []
    return [
        Chart(
            stem="coordcheck",
            title="What was measured, against width",
            caption="A line a tensor, coloured by role. What fails is thick, with square dots; "
            "beside it, dashed, the slope that is right, and the 95 % interval of its own as a "
            "band. Triangles: not decided.",
            panels=[_panel(panels[at]) for at in sorted(panels)],
        )
    ]


def _panel(findings: Sequence[SlopeFinding]) -> Plot:
    first = findings[0]
    widths = sorted({width for finding in findings for width, _ in finding.points})
    forward = sorted(findings, key=lambda finding: finding.order)
    return Plot(
        title=f"{first.kind} {first.when}",
        alt=_alt(forward),
        x=Axis("width", log2=True, ticks={width: str(width) for width in widths}),
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
        f"{first.kind} {first.when} against width, {len(findings)} tensors: {said}. "
        f"Slopes from {signed(slopes[0])} to {signed(slopes[-1])}."
    )
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    if failing:
        worst = failing[0]
        text += (
            f" {worst.tensor} comes first in the forward pass of those that fail: {worst.measured}."
        )
    return text
