"""How a comparison of two runs is shown."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.compare.chart import charts
from umup_diag.checks.compare.finding import ChangeFinding, change_findings
from umup_diag.checks.result import Result, Verdict
from umup_diag.report import cells
from umup_diag.report.answer import Answer, told_first
from umup_diag.report.style import OFFENDERS, signed, styled, verdict_line
from umup_diag.report.view import View
from umup_diag.scaling.kinds import kind_order


def view() -> View:
    """How the results of this check are shown."""
    return View(
        table=table,
        columns={
            "tensor": lambda finding: finding.tensor,
            "verdict": lambda finding: finding.verdict,
            "kind": lambda finding: finding.kind,
            "octaves": lambda finding: signed(finding.change),
            "95 % interval": lambda finding: cells.span(finding.interval, signed),
            "last": lambda finding: signed(finding.last),
            "pairs": lambda finding: str(finding.pairs),
            "seeds": lambda finding: str(finding.seeds),
            "cause": cells.cause,
            "fix": cells.fix,
        },
        answer=answer,
        charts=charts,
        stems=("changes",),
    )


def answer(result: Result) -> Answer:
    """Which two runs, and what has moved furthest."""
    settings = result.settings
    findings = change_findings(result)  # what has moved furthest comes first
    lead, first = told_first(
        result, offender=next(iter(findings), None), lead="Moved furthest", nearest=None
    )
    return Answer(
        about=f"{settings.get('run_b')} held to {settings.get('run_a')}: {len(findings)} tensors, "
        f"±{settings.get('band')} octaves count as the same.",
        lead=lead,
        first=first,
    )


def table(result: Result, every: bool) -> RenderableType:
    """What changed first, then what did not by kind, then what both runs say of themselves.

    Args:
        result: of this check.
        every: list every tensor by itself.
    """
    findings = change_findings(result)
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    rows.add_column("tensor", overflow="fold")
    rows.add_column("kind")
    for heading in ("octaves", "95 % interval", "last", "pairs"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("verdict")
    listed = [each for each in findings if every or each.verdict is not Verdict.PASS]
    for finding in listed[: None if every else OFFENDERS]:
        _add(rows, finding, finding.tensor)
    if not every and len(listed) > OFFENDERS:
        rows.add_row(f"… and {len(listed) - OFFENDERS} more (--all lists them)")
    same = [] if every else [each for each in findings if each.verdict is Verdict.PASS]
    same.sort(key=lambda finding: kind_order(finding.kind))
    for _, group in groupby(same, key=lambda finding: finding.kind):
        alike: Sequence[ChangeFinding] = list(group)
        most = max(alike, key=lambda finding: abs(finding.change))
        _add(rows, most, f"{len(alike)}, the most changed of them")
    notes = [Text(note.text) for note in result.notes]
    return Group(rows, Text(""), *notes, verdict_line(result))


def _add(rows: Table, finding: ChangeFinding, name: str) -> None:
    rows.add_row(
        name,
        finding.kind,
        signed(finding.change),
        " … ".join(map(signed, finding.interval)),
        signed(finding.last),
        str(finding.pairs),
        styled(finding.verdict),
    )
