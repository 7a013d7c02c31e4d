"""How a coord check's result is shown."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from umup_diag.checks.coordcheck.chart import STEM, charts
from umup_diag.checks.coordcheck.finding import SlopeFinding, first_offender
from umup_diag.checks.result import Finding, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report import cells
from umup_diag.report.answer import Answer, Change, changes, told_first
from umup_diag.report.names import starred
from umup_diag.report.style import OFFENDERS, signed, styled, verdict_line
from umup_diag.report.table import say_more, shell
from umup_diag.report.view import Column, View
from umup_diag.scaling.kinds import kind_order
from umup_diag.settings.axes import WIDTH


def _of_slopes(cell: Callable[[SlopeFinding], str]) -> Column:
    """A cell that a run whose loss is not finite leaves empty."""
    return lambda finding: cell(finding) if isinstance(finding, SlopeFinding) else ""


_COLUMNS: Mapping[str, Column] = {
    "tensor": lambda finding: finding.tensor,
    "verdict": lambda finding: finding.verdict,
    "kind": lambda finding: finding.kind,
    "over": _of_slopes(lambda finding: finding.axis if finding.axis != WIDTH else ""),
    "when": _of_slopes(lambda finding: finding.when),
    "slope": _of_slopes(lambda finding: signed(finding.slope)),
    "95 % interval": _of_slopes(lambda finding: cells.span(finding.interval, signed)),
    "expected": _of_slopes(lambda finding: finding.wanted),
    "accepted": _of_slopes(lambda finding: cells.span(finding.accepted, signed)),
    "role": _of_slopes(lambda finding: finding.role),
    "cause": cells.cause,
    "fix": cells.fix,
}


def view() -> View:
    """Of the coord check."""
    return View(
        table=table,
        answer=answer,
        columns=_COLUMNS,
        charts=charts,
        stems=(STEM, f"{STEM}_*"),
        filters=("kind", "role", "verdict"),
    )


def answer(result: Result) -> Answer:
    """Where it starts, and what to multiply by what."""
    slopes = [finding for finding in result.findings if isinstance(finding, SlopeFinding)]
    settings = result.settings
    optimizer = settings.get("optimizer") or "its own optimizer"
    rate = f" at learning rate {settings['lr']:g}" if settings.get("lr") else ""
    about = (
        f"{settings.get('model')}, held to {settings.get('target')}: trained "
        f"{settings.get('steps')} updates by {optimizer}{rate} at {_where(settings)}, "
        f"{settings.get('seeds')} seeds each."
    )
    offender = first_offender(slopes) or next(iter(result.findings), None)
    lead, first = told_first(
        result,
        offender=offender,
        lead="First offender in forward order",
        nearest=min(slopes, key=_margin, default=None),
    )
    return Answer(
        about=about,
        lead=lead,
        first=first,
        changes=_in_order(slopes),
    )


def _where(settings: Mapping[str, Any]) -> str:
    """The sizes that models were built at, in words."""
    sizes = {"widths": settings.get("widths"), "depths": settings.get("depths")}
    sizes |= settings.get("axis") or {}
    said = [f"{name} {', '.join(map(str, values))}" for name, values in sizes.items() if values]
    if settings.get(WIDTH) and not sizes["widths"]:
        said.insert(0, f"{WIDTH} {settings[WIDTH]}")
    return " and ".join(said)


def table(result: Result, every: bool) -> RenderableType:
    """Offenders first, what passes summed up by kind, what to change, the verdict.

    Args:
        result: from `umup_diag.checks.coordcheck.judge`.
        every: list every finding by itself.
    """
    slopes = [finding for finding in result.findings if isinstance(finding, SlopeFinding)]
    parts: list[RenderableType] = [_slope_table(slopes, every=every)] if slopes else []
    parts += [Text(finding.cause or "") for finding in result.findings if finding not in slopes]
    parts += [part for part in (_changes(slopes), _notes(result)) if part is not None]
    return Group(*parts, verdict_line(result))


def _slope_table(findings: Sequence[SlopeFinding], *, every: bool) -> Table:
    several = any(finding.axis != WIDTH for finding in findings)
    table = shell(
        ("tensor", "kind", "over", "when") if several else ("tensor", "kind", "when"),
        ("slope", "expected"),
        caption="A row for several tensors shows the worst of them.",
    )
    listed = [finding for finding in findings if every or finding.verdict is not Verdict.PASS]
    rows = [[finding] for finding in listed] if every else _alike(listed, findings)
    for members in rows[: None if every else OFFENDERS]:
        name = members[0].tensor if len(members) == 1 else starred(members[0].tensor)
        count = f" ({len(members)})" if len(members) > 1 else ""
        table.add_row(escape(name) + count, *_cells(members[0], over=several))
    if not every:
        say_more(table, len(rows))
    summed_up = [] if every else [f for f in findings if f.verdict is Verdict.PASS]
    if summed_up and listed:
        table.add_section()
    for _, group in groupby(sorted(summed_up, key=_group), key=_group):
        passing = list(group)
        closest = min(passing, key=_margin)
        table.add_row(f"{len(passing)} {closest.role}", *_cells(closest, over=several))
    return table


def _alike(
    listed: Sequence[SlopeFinding], findings: Sequence[SlopeFinding]
) -> list[list[SlopeFinding]]:
    """Findings that all repeated layers share together, each led by its worst; others alone."""
    siblings = Counter(map(_line, findings))
    groups: dict[tuple[tuple[str, str, str], Verdict], list[SlopeFinding]] = {}
    for finding in listed:
        groups.setdefault((_line(finding), finding.verdict), []).append(finding)
    rows: list[list[SlopeFinding]] = []
    for (alike, _), group in groups.items():
        is_shared = len(group) == siblings[alike]
        rows += [sorted(group, key=_margin)] if is_shared else [[each] for each in group]
    return rows


def _line(finding: SlopeFinding) -> tuple[str, str, str]:
    """What the findings of repeated layers have in common."""
    return starred(finding.tensor), finding.kind, finding.axis


def _group(finding: SlopeFinding) -> tuple[str, int, int, str]:
    return finding.axis, finding.step, kind_order(finding.kind), finding.role


def _margin(finding: SlopeFinding) -> float:
    """How far the interval stays from the edge of what is accepted."""
    low, high = finding.interval
    return min(low - finding.accepted[0], finding.accepted[1] - high)


def _cells(finding: SlopeFinding, *, over: bool) -> tuple[str | Text, ...]:
    low, high = finding.interval
    return (
        finding.kind,
        *([finding.axis] if over else []),
        f"update {finding.step}" if finding.step else "init",
        f"{signed(finding.slope)} ±{(high - low) / 2:.2f}",
        finding.wanted,
        styled(finding.verdict),
    )


def _changes(findings: Sequence[SlopeFinding]) -> RenderableType | None:
    """Where it starts, and what to multiply by what, one line per cause."""
    first = first_offender(findings)
    if first is None:
        return None
    lines = [Text(f"\nFirst offender in forward order: {first.tensor}", "bold")]
    for change in _in_order(findings):
        lines += [
            Text(f"{change.cause}: {change.action}", "bold"),
            Text(f"  of {', '.join(change.tensors)}"),
        ]
    return Group(*lines)


def _in_order(findings: Sequence[SlopeFinding]) -> list[Change]:
    """What to change, in forward order."""
    by_order = sorted(findings, key=lambda finding: finding.order)
    return changes(by_order, among={finding.tensor for finding in findings})


def _notes(result: Result) -> RenderableType | None:
    undecided: list[Finding] = []
    if result.verdict is Verdict.INCONCLUSIVE:
        undecided = [f for f in result.findings if f.verdict is Verdict.INCONCLUSIVE]
    lines = [Text(f"{finding.tensor} {finding.kind}: {finding.cause}") for finding in undecided[:4]]
    lines += [Text(note.text) for note in result.notes]
    return Group(Text(""), *lines) if lines else None
