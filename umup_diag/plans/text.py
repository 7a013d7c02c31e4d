"""The gate's outcomes: a table on a terminal, Markdown for a job summary, JSON."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from umup_diag import strict_json
from umup_diag.checks.result import Finding, Verdict
from umup_diag.plans.gate import Gate, Outcome
from umup_diag.report.sentences import sentence

SCHEMA = 1
STYLE = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow", "ERROR": "bold magenta"}
LISTED = 8  #: findings that are told of one plan


def loud(outcome: Outcome) -> Sequence[Finding]:
    """The findings that do not pass, worst first."""
    if outcome.result is None:
        return []
    return [each for each in outcome.result.findings if each.verdict is not Verdict.PASS]


def told(outcome: Outcome) -> list[str]:
    """What is to be said of an outcome that is no pass, a sentence each."""
    if outcome.error:
        return [outcome.error]
    sentences = [f"{finding.verdict}: {sentence(finding)}" for finding in loud(outcome)]
    if len(sentences) > LISTED:
        more = f"… and {len(sentences) - LISTED} more, in {outcome.out}/report.html"
        sentences[LISTED:] = [more]
    return sentences


def counts(outcome: Outcome) -> str:
    """Findings by verdict."""
    if outcome.result is None:
        return ""
    verdicts = [finding.verdict for finding in outcome.result.findings]
    return ", ".join(f"{verdicts.count(each)} {each}" for each in Verdict if each in verdicts)


def text(gate: Gate) -> RenderableType:
    """Offenders plan by plan, the summary table, the verdict."""
    parts: list[RenderableType] = []
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("plan", "check", "verdict", "findings", "time"):
        table.add_column(column, overflow="fold", no_wrap=column == "verdict")
    for outcome in gate.outcomes:
        sentences = told(outcome) + (list(outcome.result.notes) if outcome.result else [])
        if sentences:
            parts.append(Text(f"{outcome.path}: {outcome.status}", STYLE[outcome.status]))
            parts += [Text(f"  {line}") for line in sentences]
        table.add_row(
            escape(str(outcome.path)),
            outcome.plan.check if outcome.plan else "",
            Text(outcome.status, STYLE[outcome.status]),
            counts(outcome),
            f"{outcome.seconds:.0f} s",
        )
    end = Text("gate: ")
    end.append(gate.status, STYLE[gate.status])
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
        check = outcome.plan.check if outcome.plan else ""
        cells = [
            str(outcome.path),
            check,
            outcome.status,
            counts(outcome),
            f"{outcome.seconds:.0f} s",
        ]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    for outcome in gate.outcomes:
        notes = list(outcome.result.notes) if outcome.result else []
        if sentences := told(outcome) + notes:
            lines += ["", f"### {_cell(str(outcome.path))}: {outcome.status}", ""]
            lines += [f"- {_cell(line)}" for line in sentences]
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
                    "check": outcome.plan.check if outcome.plan else None,
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
                    "offenders": [sentence(finding) for finding in loud(outcome)],
                    "notes": list(outcome.result.notes) if outcome.result else [],
                }
                for outcome in gate.outcomes
            ],
        },
        indent=1,
    )
