"""How results of a coupling check are shown."""

from collections.abc import Callable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.coupling.chart import charts
from umup_diag.checks.coupling.finding import PairFinding, pair_findings, search_findings
from umup_diag.checks.result import Result, Verdict
from umup_diag.report import cells
from umup_diag.report.style import styled, verdict_line
from umup_diag.report.view import Column, View


def _of_pairs(cell: Callable[[PairFinding], str]) -> Column:
    """A cell that a search leaves empty."""
    return lambda finding: cell(finding) if isinstance(finding, PairFinding) else ""


def view() -> View:
    """How the results of this check are shown."""
    return View(
        table=table,
        columns={
            "tuned": lambda finding: finding.tensor,
            "verdict": lambda finding: finding.verdict,
            "fixed": _of_pairs(lambda finding: finding.fixed),
            "what": lambda finding: finding.kind,
            "lost, nats": lambda finding: _nats(_lost(finding)),
            "95 % interval": lambda finding: cells.span(finding.interval, _nats),
            "by F.1": _of_pairs(lambda finding: _nats(finding.workshop_error)),
            "cause": cells.cause,
            "fix": cells.fix,
        },
        charts=charts,
        stems=("pairs", "searches"),
        filters=("verdict",),
    )


def table(result: Result, every: bool = False) -> RenderableType:  # noqa: ARG001
    """What each pair loses, the pairs to tune together, or how the searches compare."""
    parts: list[RenderableType] = []
    if found := pair_findings(result):
        rows = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("tuned", "with at any value"):
            rows.add_column(heading)
        for heading in ("lost, nats", "95 % interval", "by F.1"):
            rows.add_column(heading, justify="right", no_wrap=True)
        rows.add_column("verdict", no_wrap=True)
        for each in found:
            low, high = each.interval
            rows.add_row(
                each.tensor,
                each.fixed,
                f"{each.error:.3f}",
                f"{low:.3f} … {high:.3f}",
                f"{each.workshop_error:.3f}",
                styled(each.verdict),
            )
        parts.append(rows)
        coupled = [each for each in found if each.verdict is Verdict.FAIL]
        parts += [Text(f"{each.cause}: {each.fix}", "bold") for each in coupled]
        parts.append(Text(f"up to {found[0].allowed:.3f} nats may be lost"))
    for search in search_findings(result):
        words = {
            "combination": "each at its own best, against the first alone",
            "search": f"one by one, against {len(search.random)} runs at random",
        }
        line = Text(f"{words[search.kind]}: {search.measured} ")
        parts.append(line.append_text(styled(search.verdict)))
        if search.cause:
            parts.append(Text(f"  {search.cause}"))
    parts += [Text(note.text) for note in result.notes]
    return Group(*parts, verdict_line(result))


def _nats(value: float) -> str:
    return f"{value:.3f}"


def _lost(finding: Any) -> float:
    lost: float = finding.error if isinstance(finding, PairFinding) else finding.difference
    return lost
