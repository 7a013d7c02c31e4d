"""The gate's outcomes: a table on a terminal, Markdown for a job summary, JSON."""

from pathlib import Path
from textwrap import indent

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from umup_diag import strict_json
from umup_diag.checks.result import Verdict
from umup_diag.plans.gate import Gate, Outcome
from umup_diag.report.style import VERDICT_STYLES, styled

SCHEMA = 1
LISTED = 8  #: findings that are listed of one plan


def sentences(outcome: Outcome) -> list[str]:
    """What is to be said of an outcome that is no pass, a sentence each."""
    if outcome.error:
        return [outcome.error]
    found = [f"{finding.verdict}: {finding.sentence}" for finding in outcome.offenders]
    if len(found) > LISTED:
        found[LISTED:] = [f"… and {len(found) - LISTED} more, in {outcome.out}/report.html"]
    return found


def _notes(outcome: Outcome) -> list[str]:
    return [note.text for note in outcome.result.notes] if outcome.result else []


def _counts(outcome: Outcome) -> str:
    return outcome.result.counts() if outcome.result else ""


def text(gate: Gate) -> RenderableType:
    """Offenders plan by plan, the summary table, the verdict."""
    parts: list[RenderableType] = []
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("plan", "check", "verdict", "findings", "time"):
        table.add_column(column, overflow="fold", no_wrap=column == "verdict")
    for outcome in gate.outcomes:
        lines = sentences(outcome) + _notes(outcome)
        if lines:
            style = VERDICT_STYLES[outcome.status]
            parts.append(Text(f"{outcome.path}: {outcome.status}", style))
            parts += [Text(indent(line, "  ")) for line in lines]
        table.add_row(
            escape(str(outcome.path)),
            outcome.check,
            styled(outcome.status),
            _counts(outcome),
            f"{outcome.seconds:.0f} s",
        )
    end = Text("gate: ")
    end.append_text(styled(gate.status))
    return Group(*parts, *([Text("")] if parts else []), table, end)


def markdown(gate: Gate) -> str:
    """The same for GITHUB_STEP_SUMMARY: a table, then what is not a pass."""
    lines = [
        f"## umup-diag gate: {gate.status}",
        "",
        "| plan | check | verdict | findings | time |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for outcome in gate.outcomes:
        cells = [
            str(outcome.path),
            outcome.check,
            outcome.status,
            _counts(outcome),
            f"{outcome.seconds:.0f} s",
        ]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    for outcome in gate.outcomes:
        if said := sentences(outcome) + _notes(outcome):
            lines += ["", f"### {_cell(str(outcome.path))}: {outcome.status}", ""]
            lines += [f"- {_cell(line)}" for line in said]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that Markdown and the HTML in it leave alone."""
    for character in "\\`*_[]|":
        text = text.replace(character, "\\" + character)
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def dumps(gate: Gate, *, base: Path) -> str:
    """As JSON text; paths are those of the plans and, under `base`, of their results."""
    return strict_json.dumps(
        {
            "schema": SCHEMA,
            "command": "gate",
            "verdict": gate.status,
            "exit_code": gate.exit_code,
            "out": str(base),
            "plans": [
                {
                    "plan": str(outcome.path),
                    "check": outcome.check or None,
                    "verdict": outcome.status,
                    "error": outcome.error,
                    "out": str(outcome.out) if outcome.out else None,
                    "findings": {
                        str(verdict): sum(
                            finding.verdict is verdict
                            for finding in (outcome.result.findings if outcome.result else ())
                        )
                        for verdict in Verdict
                    },
                    "offenders": [finding.sentence for finding in outcome.offenders],
                    "notes": _notes(outcome),
                }
                for outcome in gate.outcomes
            ],
        },
        indent=1,
    )
