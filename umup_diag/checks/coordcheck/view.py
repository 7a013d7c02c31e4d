"""Results on a terminal."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from umup_diag.checks.coordcheck.causes import first_offender
from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.report.names import collapse
from umup_diag.scaling.kinds import kind_order

STYLE = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "yellow"}
OFFENDERS = 16  #: how many are listed one by one


def coordcheck(result: Result, *, every: bool = False) -> RenderableType:
    """A coord check: offenders first, what passes summed up by kind, what to change, the verdict.

    Args:
        result: from `umup_diag.checks.coordcheck.judge`.
        every: list every finding by itself.
    """
    slopes = [finding for finding in result.findings if isinstance(finding, SlopeFinding)]
    parts: list[RenderableType] = [_slope_table(slopes, every=every)] if slopes else []
    parts += [Text(finding.cause or "") for finding in result.findings if finding not in slopes]
    parts += [part for part in (_changes(slopes), _notes(result)) if part is not None]
    return Group(*parts, verdict(result))


def verdict(result: Result) -> Text:
    """The last line: the verdict and what it rests on."""
    counts = [
        f"{sum(finding.verdict is each for finding in result.findings)} {each}"
        for each in Verdict
        if any(finding.verdict is each for finding in result.findings)
    ]
    text = Text(f"{result.command}: ")
    text.append(result.verdict, STYLE[result.verdict])
    text.append(f" ({', '.join(counts) or 'nothing judged'})")
    return text


def _slope_table(findings: Sequence[SlopeFinding], *, every: bool) -> Table:
    table = Table(
        box=None,
        padding=(0, 1),
        header_style="bold",
        caption="A row for several tensors shows the worst of them.",
        caption_justify="left",
    )
    for column in ("tensor", "kind", "when"):
        table.add_column(column, overflow="fold")
    for column in ("slope", "expected"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    loud = [finding for finding in findings if every or finding.verdict is not Verdict.PASS]
    rows = [[finding] for finding in loud] if every else _alike(loud)
    for members in rows[: None if every else OFFENDERS]:
        name = members[0].tensor if len(members) == 1 else collapse([members[0].tensor])[0]
        count = f" ({len(members)})" if len(members) > 1 else ""
        table.add_row(escape(name) + count, *_cells(members[0]))
    if not every and len(rows) > OFFENDERS:
        table.add_row(f"… and {len(rows) - OFFENDERS} more (--all lists them)")
    quiet = [] if every else [finding for finding in findings if finding.verdict is Verdict.PASS]
    if quiet and loud:
        table.add_section()
    for _, group in groupby(sorted(quiet, key=_group), key=_group):
        passing = list(group)
        closest = min(passing, key=_margin)
        table.add_row(f"{len(passing)} {closest.role}", *_cells(closest))
    return table


def _alike(findings: Sequence[SlopeFinding]) -> list[list[SlopeFinding]]:
    """Findings of the same kind and verdict in repeated layers together, each led by its worst."""
    groups: dict[tuple[object, ...], list[SlopeFinding]] = {}
    for finding in findings:
        layer = collapse([finding.tensor])[0]
        key = (layer, finding.kind, finding.step, finding.verdict)
        groups.setdefault(key, []).append(finding)
    return list(groups.values())


def _group(finding: SlopeFinding) -> tuple[int, int, str]:
    return finding.step, kind_order(finding.kind), finding.role


def _margin(finding: SlopeFinding) -> float:
    """How far the interval stays from the edge of what is accepted."""
    low, high = finding.interval
    return min(low - finding.accepted[0], finding.accepted[1] - high)


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"


def _cells(finding: SlopeFinding) -> tuple[str | Text, ...]:
    low, high = finding.interval
    kind = finding.kind + {1: " × mult", 0: "", -1: " ÷ mult"}[finding.times_multiplier]
    when = f"{finding.step} updates" if finding.step else "init"
    slowest = finding.accepted[0] + finding.band
    expected = _signed(finding.expected)
    if finding.expected - slowest > 1e-9:
        expected = f"{_signed(slowest)}…{expected}"
    return (
        kind,
        when,
        f"{_signed(finding.slope)} ±{(high - low) / 2:.2f}",
        expected,
        Text(finding.verdict, STYLE[finding.verdict]),
    )


def _changes(findings: Sequence[SlopeFinding]) -> RenderableType | None:
    """Where it starts, and what to multiply by what, one line per cause."""
    first = first_offender(findings)
    if first is None:
        return None
    lines = [Text(f"\nFirst offender in forward order: {first.tensor}", "bold")]
    fixes: dict[tuple[str, str], list[str]] = {}
    for finding in sorted(findings, key=lambda finding: finding.order):
        if finding.cause and finding.fix:
            fixes.setdefault((finding.cause, finding.fix), []).append(finding.tensor)
    for (cause, fix), tensors in fixes.items():
        lines += [Text(f"{cause}: {fix}", "bold"), Text(f"  of {', '.join(collapse(tensors))}")]
    return Group(*lines)


def _notes(result: Result) -> RenderableType | None:
    undecided: list[Finding] = []
    if result.verdict is Verdict.INCONCLUSIVE:
        undecided = [f for f in result.findings if f.verdict is Verdict.INCONCLUSIVE]
    lines = [Text(f"{finding.tensor} {finding.kind}: {finding.cause}") for finding in undecided[:4]]
    lines += [Text(note) for note in result.notes]
    return Group(Text(""), *lines) if lines else None
