"""What a unit-scale check draws: every tensor's RMS, in forward order."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite, sqrt

from umup_diag.checks.result import Result
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Axis, Chart, Draw, Plot, Point, Series
from umup_diag.report.style import number
from umup_diag.scaling.kinds import kind_order


def charts(result: Result) -> list[Chart]:
    """RMS of each tensor with its interval, a panel a kind, over what is accepted."""
    findings = [
        finding
        for finding in result.findings
        if isinstance(finding, ScaleFinding) and isfinite(finding.rms) and finding.rms > 0
    ]
    kinds = sorted({finding.kind for finding in findings}, key=kind_order)
    if not kinds:
        return []
    widths = sorted({finding.width or 0 for finding in findings})
    return [
        Chart(
            stem="unit_scale",
            title="RMS at init, in forward order",
            caption="A dot a tensor, with its 95 % interval; grey is what is accepted. Squares "
            "fail, triangles are not decided.",
            panels=[_panel([f for f in findings if f.kind == kind], widths) for kind in kinds],
            ordered=len(widths) > 1,
            colours={str(verdict): verdict for verdict in Verdict},
            columns=2,
        )
    ]


def _panel(findings: Sequence[ScaleFinding], widths: Sequence[int]) -> Plot:
    order = {finding.tensor: finding.order for finding in findings}
    tensors = sorted(order, key=lambda tensor: (order[tensor], tensor))
    place = {tensor: at for at, tensor in enumerate(tensors)}
    series = []
    for width in widths:
        of_width = [finding for finding in findings if (finding.width or 0) == width]
        of_width.sort(key=lambda finding: place[finding.tensor])
        series.append(_accepted(of_width, place))
        series += [
            Series(
                name=finding.tensor,
                points=[Point(place[finding.tensor], finding.rms, *finding.interval)],
                draw=Draw.DOTS,
                group=f"width {width}" if len(widths) > 1 else str(finding.verdict),
                finding=finding,
            )
            for finding in of_width
        ]
    return Plot(
        title=findings[0].kind,
        alt=_alt(findings),
        x=Axis("place in the forward pass"),
        y=Axis("RMS", log2=True, least=2.0),
        series=series,
    )


def _accepted(findings: Sequence[ScaleFinding], place: dict[str, int]) -> Series:
    points = [
        Point(place[finding.tensor] + side, sqrt(low * high), low, high)
        for finding in findings
        for low, high in [finding.accepted]
        if low > 0
        for side in (-0.49, 0.49)
    ]
    return Series(name="accepted", points=points, draw=Draw.BAND)


def _alt(findings: Sequence[ScaleFinding]) -> str:
    """What the panel shows, in words."""
    counts = Counter(finding.verdict for finding in findings)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    sizes = sorted(finding.rms for finding in findings)
    text = (
        f"RMS of {findings[0].kind} at init in forward order, {len(findings)} values: {said}; "
        f"from {number(sizes[0])} to {number(sizes[-1])}."
    )
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    return f"{text} {failing[0].tensor} fails first: {failing[0].measured}." if failing else text
