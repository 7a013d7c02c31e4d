"""How scale-law results are shown."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.result import Result
from umup_diag.checks.scale_law.chart import charts
from umup_diag.checks.scale_law.finding import ScaleLawFinding, scale_law_findings
from umup_diag.checks.scale_law.law_fit import Assessment, Constant
from umup_diag.checks.verdict import Verdict
from umup_diag.recording.frame import describe_point
from umup_diag.report import cells
from umup_diag.report.answer import Answer, changes, told_first
from umup_diag.report.style import styled
from umup_diag.report.view import View

PASTE_HEADER = "from math import log, pi, sqrt"


def view() -> View:
    """How the results of this check are shown."""
    return View(
        table=table,
        answer=answer,
        columns={
            "quantity": lambda finding: finding.kind,
            "verdict": lambda finding: finding.verdict,
            "fitted law, worst": lambda finding: _worst(finding.fitted),
            "published law, worst": lambda finding: "; ".join(
                f"{law.source.name} {_worst(law)}" for law in finding.laws
            ),
            "law, as Python": lambda finding: finding.python or "",
            "cause": cells.cause,
            "fix": cells.fix,
        },
        charts=charts,
        stems=("scale_law", "output*", "gradient*"),
        filters=("verdict",),
    )


def answer(result: Result) -> Answer:
    """The law to paste, or why there is none."""
    findings = scale_law_findings(result)
    lead, first = told_first(
        result,
        offender=next((f for f in findings if f.verdict is Verdict.FAIL), None),
        lead="No law describes",
        nearest=max(findings, key=_error_of, default=None),
    )
    laws = [finding.python for finding in findings if finding.python]
    op = findings[0].tensor if findings else str(result.settings.get("op"))
    points = len(findings[0].measurements.points) if findings else 0
    return Answer(
        about=f"Scale of {op}, measured on unit-normal inputs at {points} points.",
        lead=lead,
        first=first,
        changes=changes(findings, among=[finding.tensor for finding in findings]),
        code="\n".join([PASTE_HEADER, *laws]) if laws else "",
    )


def _error_of(finding: ScaleLawFinding) -> float:
    return abs(finding.fitted.worst_error) if finding.fitted else 0.0


def _worst(law: Assessment | None) -> str:
    return "" if law is None else str(_errors(law)[0])


def table(result: Result, every: bool = False) -> RenderableType:  # noqa: ARG001
    """The whole answer: laws and their errors, constants, lines to paste, remarks."""
    findings = scale_law_findings(result)
    parts: list[RenderableType] = [_errors_table(findings)]
    if any(finding.constants for finding in findings):
        parts += [Text(), _constants_table(findings)]
    lines = [finding.python for finding in findings if finding.python]
    if lines:
        parts += [Text(), Text("To paste: σ, what to divide by", style="bold")]
        code = "\n".join([PASTE_HEADER, *lines])
        parts.append(Text(code, style="cyan", no_wrap=True, overflow="ignore"))
    remarks = [_remark(finding) for finding in findings if finding.cause]
    remarks += [note.text for note in result.notes]
    if remarks:
        parts += [Text(), *(Text(f"• {remark}") for remark in remarks)]
    parts += [Text(), styled(result.verdict)]
    return Group(*parts)


def _remark(finding: ScaleLawFinding) -> str:
    advice = f" What to do: {finding.fix}." if finding.fix else ""
    return f"{finding.kind}: {finding.cause}.{advice}"


def _errors_table(findings: list[ScaleLawFinding]) -> Table:
    table = Table(
        title=f"Scale of {findings[0].tensor}" if findings else "Nothing was measured",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name in ("quantity", "law"):
        table.add_column(name, no_wrap=True)
    for name in ("worst", "RMS", "beyond noise"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("worst at")
    table.add_column("", no_wrap=True)
    for finding in findings:
        laws = ([finding.fitted] if finding.fitted else []) + list(finding.laws)
        label = finding.kind
        for law in laws:
            table.add_row(label, law.source.name, *_errors(law))
            label = ""
        if not laws:
            table.add_row(label, "none", "", "", "", "", styled(finding.verdict))
    return table


def _errors(law: Assessment) -> tuple[str | Text, ...]:
    return (
        f"{law.worst_error:+.2%}" if law.worst_error < 1 else f"×{1 + law.worst_error:.3g}",
        _relative(law.rms_error),
        _relative(law.beyond_noise) if law.rejected else "none",
        describe_point(law.worst_at, separator=" "),
        styled(law.verdict),
    )


def _relative(log_error: float) -> str:
    return f"{log_error:.2%}" if log_error < 1 else f"×{math.exp(log_error):.3g}"


def _constants_table(findings: list[ScaleLawFinding]) -> Table:
    table = Table(
        title="Fitted constants, 95 % intervals",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name in ("quantity", "constant"):
        table.add_column(name, no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("interval", justify="left")
    for finding in findings:
        label = finding.kind
        for constant in finding.constants:
            table.add_row(label, Text(constant.name), f"{constant.value:.4g}", _interval(constant))
            label = ""
    return table


def _interval(constant: Constant) -> str:
    if not constant.determined:
        return "not determined by this grid"
    return f"{constant.low:.4g} … {constant.high:.4g}"
