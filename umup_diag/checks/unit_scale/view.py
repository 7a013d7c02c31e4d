"""How a unit-scale result is shown."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.unit_scale.chart import charts
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.report import cells
from umup_diag.report.answer import Answer, changes, told_first
from umup_diag.report.names import collapse
from umup_diag.report.style import OFFENDERS, number, styled, verdict_line
from umup_diag.report.table import say_more, shell
from umup_diag.report.view import Column, View
from umup_diag.scaling.kinds import kind_order

_COLUMNS: Mapping[str, Column] = {
    "tensor": lambda finding: finding.tensor,
    "verdict": lambda finding: finding.verdict,
    "kind": lambda finding: finding.kind,
    "width": lambda finding: "" if finding.width is None else str(finding.width),
    "RMS": lambda finding: number(finding.rms),
    "95 % interval": lambda finding: cells.span(finding.interval, number),
    "expected": lambda finding: number(finding.expected),
    "accepted": lambda finding: cells.span(finding.accepted, number),
    "because": lambda finding: finding.because or "",
    "exception": lambda finding: finding.exception or "",
    "cause": cells.cause,
    "fix": cells.fix,
}


def view() -> View:
    """Of the unit-scale check."""
    return View(
        table=table,
        answer=answer,
        columns=_COLUMNS,
        charts=charts,
        stems=("unit_scale",),
        filters=("kind", "width", "verdict"),
    )


def answer(result: Result) -> Answer:
    """Where it starts, and what to multiply."""
    findings = [finding for finding in result.findings if isinstance(finding, ScaleFinding)]
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    lead, first = told_first(
        result,
        offender=next(iter(failing), None),
        lead="First offender",
        nearest=min(findings, key=_margin, default=None),
    )
    widths = ", ".join(map(str, result.settings.get("width", ())))
    return Answer(
        about=f"{result.settings.get('model')} at initialisation"
        + (f", at widths {widths}" if "," in widths else f", at width {widths}" if widths else "")
        + f", {result.settings.get('seeds')} models each: the RMS of every linear layer's tensors.",
        lead=lead,
        first=first,
        changes=changes(failing, among=[finding.tensor for finding in findings]),
    )


def table(result: Result, every: bool) -> RenderableType:
    """Offenders in the order of cause, what passes summed up by kind, what to change, the verdict.

    Args:
        result: from `umup_diag.checks.unit_scale.judge`.
        every: list every finding by itself.
    """
    findings = [finding for finding in result.findings if isinstance(finding, ScaleFinding)]
    parts: list[RenderableType] = [_table(findings, every=every)] if findings else []
    parts += _changes(findings)
    if result.notes:
        parts.append(Text("\n" + "\n".join(map(str, result.notes))))
    return Group(*parts, verdict_line(result))


def _table(findings: Sequence[ScaleFinding], *, every: bool) -> Table:
    table = shell(
        ("tensor", "kind"),
        ("width", "RMS", "±", "expected", "× to correct"),
        caption="Rows that count tensors pass, and show the one that comes closest to its edge.",
    )
    offenders = [finding for finding in findings if finding.verdict is not Verdict.PASS]
    listed = findings if every else offenders
    summed_up = [] if every else [f for f in findings if f.verdict is Verdict.PASS]
    shown = listed if every else listed[:OFFENDERS]
    for finding in shown:
        table.add_row(escape(finding.tensor), *_cells(finding))
    if not every:
        say_more(table, len(listed))
    if summed_up and shown:
        table.add_section()
    for _, members in groupby(sorted(summed_up, key=_group), key=_group):
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
        styled(finding.verdict),
    )


def _changes(findings: Sequence[ScaleFinding]) -> list[RenderableType]:
    """Where it starts, and what to multiply, one line per cause."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    if not failing:
        undecided = [f for f in findings if f.verdict is Verdict.INCONCLUSIVE][:4]
        return [Text(f"\n{finding.sentence}") for finding in undecided]
    first = failing[0]
    lines = [Text(f"\nFirst offender: {first.sentence}.", "bold")]
    causes: dict[str, list[str]] = {}
    for finding in failing:
        causes.setdefault(f"{finding.kind}: {finding.cause}", []).append(finding.tensor)
    named = [finding.tensor for finding in findings]
    for cause, tensors in causes.items():
        lines.append(Text(f"  {cause}: {', '.join(collapse(tensors, among=named))}"))
    return [Group(*lines)]
