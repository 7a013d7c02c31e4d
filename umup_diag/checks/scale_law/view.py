"""How scale-law results are shown."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.result import Result
from umup_diag.checks.scale_law.figure import pictures
from umup_diag.checks.scale_law.finding import ScaleLawFinding, scale_law_findings
from umup_diag.checks.scale_law.law_fit import Assessment, Constant
from umup_diag.recording.frame import describe_point
from umup_diag.report import cells
from umup_diag.report.style import styled
from umup_diag.report.view import View

PASTE_HEADER = "from math import log, pi, sqrt"


def view() -> View:
    """How the results of this check are shown."""
    return View(
        table=table,
        columns={
            "op": lambda finding: finding.tensor,
            "quantity": lambda finding: finding.kind,
            "verdict": lambda finding: finding.verdict,
            "law, as Python": lambda finding: finding.python or "",
            "cause": cells.cause,
            "fix": cells.fix,
        },
        figures=pictures,
        stems=("scale_law", "output*", "gradient*"),
        caption="Measured scales with 95 % intervals, the fitted and the published law; below, how "
        "far each law is off.",
    )


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
