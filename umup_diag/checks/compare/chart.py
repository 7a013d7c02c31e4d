"""What a comparison of two runs draws: how far every tensor has moved, in forward order."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from umup_diag.checks.compare.finding import ChangeFinding, change_findings
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Axis, Chart, Draw, Limit, Plot, Point, Series
from umup_diag.report.style import signed
from umup_diag.scaling.kinds import kind_order


def charts(result: Result) -> list[Chart]:
    """Octaves that each tensor has moved, with their interval, a panel a kind."""
    kinds: dict[str, list[ChangeFinding]] = {}
    for finding in change_findings(result):
        if isfinite(finding.change):
            kinds.setdefault(finding.kind, []).append(finding)
    if not kinds:
        return []
    return [
        Chart(
            stem="changes",
            title="How far each tensor has moved, in forward order",
            caption="A dot a tensor, with its 95 % interval; grey counts as the same. Squares "
            "have moved, triangles are not decided.",
            panels=[_panel(kinds[kind]) for kind in sorted(kinds, key=kind_order)],
            colours={str(verdict): verdict for verdict in Verdict},
            columns=2,
        )
    ]


def _panel(findings: Sequence[ChangeFinding]) -> Plot:
    forward = sorted(findings, key=lambda finding: (finding.order, finding.tensor))
    band = forward[0].band
    return Plot(
        title=forward[0].kind,
        alt=_alt(forward),
        x=Axis("place in the forward pass"),
        y=Axis("octaves from A to B", least=4 * band),
        series=[
            Series(
                name=finding.tensor,
                points=[Point(at, finding.change, *_ends(finding.interval))],
                draw=Draw.DOTS,
                group=str(finding.verdict),
                finding=finding,
            )
            for at, finding in enumerate(forward)
        ],
        limits=[Limit(-band, until=band)],
    )


def _ends(interval: tuple[float, float]) -> tuple[float, ...]:
    """The interval, where one pair of frames has not left it open."""
    return interval if all(map(isfinite, interval)) else ()


def _alt(findings: Sequence[ChangeFinding]) -> str:
    """What the panel shows, in words."""
    counts = Counter(finding.verdict for finding in findings)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    most = max(findings, key=lambda finding: abs(finding.change))
    return (
        f"Change of {most.kind} in octaves, {len(findings)} tensors: {said}. "
        f"{most.tensor} has moved furthest: {signed(most.change)}."
    )
