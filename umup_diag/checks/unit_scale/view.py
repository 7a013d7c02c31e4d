"""A unit-scale result on a terminal, and in one sentence a finding."""

import math
from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from umup_diag.checks.coordcheck.view import OFFENDERS, STYLE, verdict
from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.report.names import collapse
from umup_diag.report.sentences import number, sentence
from umup_diag.scaling.kinds import kind_order


def unit_scale(result: Result, *, every: bool = False) -> RenderableType:
    """Offenders in the order of cause, what passes summed up by kind, what to change, the verdict.

    Args:
        result: from `umup_diag.checks.unit_scale.judge`.
        every: list every finding by itself.
    """
    findings = [finding for finding in result.findings if isinstance(finding, ScaleFinding)]
    parts: list[RenderableType] = [_table(findings, every=every)] if findings else []
    parts += _changes(findings)
    if result.notes:
        parts.append(Text("\n" + "\n".join(result.notes)))
    return Group(*parts, verdict(result))


def _table(findings: Sequence[ScaleFinding], *, every: bool) -> Table:
    table = Table(
        box=None,
        padding=(0, 1),
        header_style="bold",
        caption="Rows that count tensors pass, and show the one that comes closest to its edge.",
        caption_justify="left",
    )
    for column in ("tensor", "kind"):
        table.add_column(column, overflow="fold")
    for column in ("width", "RMS", "±", "expected", "× to correct"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    loud = [finding for finding in findings if every or finding.verdict is not Verdict.PASS]
    quiet = [finding for finding in findings if finding not in loud]
    shown = loud if every else loud[:OFFENDERS]
    for finding in shown:
        table.add_row(escape(finding.tensor), *_cells(finding))
    if len(loud) > len(shown):
        table.add_row(f"… and {len(loud) - len(shown)} more (--all lists them)")
    if quiet and shown:
        table.add_section()
    for _, members in groupby(sorted(quiet, key=_group), key=_group):
        passing = list(members)
        closest = min(passing, key=_margin)
        name = closest.tensor if len(passing) == 1 else f"{len(passing)} tensors"
        table.add_row(escape(name), *_cells(closest))
    return table


def _group(finding: ScaleFinding) -> tuple[int, bool]:
    return kind_order(finding.kind), finding.because is not None


def _margin(finding: ScaleFinding) -> float:
    """Octaves between the interval and the nearer edge of what is accepted."""
    low, high = finding.interval
    if not (low > 0 and finding.accepted[0] > 0):
        return 0.0
    return min(math.log2(low / finding.accepted[0]), math.log2(finding.accepted[1] / high))


def _cells(finding: ScaleFinding) -> tuple[str | Text, ...]:
    low, high = finding.interval
    return (
        finding.kind,
        "" if finding.width is None else str(finding.width),
        number(finding.rms),
        f"{(high - low) / 2 / finding.rms:.1%}" if finding.rms > 0 else "",
        number(finding.expected),
        number(finding.factor),
        Text(finding.verdict, STYLE[finding.verdict]),
    )


def _changes(findings: Sequence[ScaleFinding]) -> list[RenderableType]:
    """Where it starts, and what to multiply, one line per cause."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    if not failing:
        undecided = [f for f in findings if f.verdict is Verdict.INCONCLUSIVE][:4]
        return [Text(f"\n{sentence(finding)}") for finding in undecided]
    first = failing[0]
    lines = [Text(f"\nFirst offender: {sentence(first)}.", "bold")]
    causes: dict[str, list[str]] = {}
    for finding in failing:
        causes.setdefault(f"{finding.kind}: {finding.cause}", []).append(finding.tensor)
    for cause, tensors in causes.items():
        lines.append(Text(f"  {cause}: {', '.join(collapse(tensors))}"))
    return [Group(*lines)]
