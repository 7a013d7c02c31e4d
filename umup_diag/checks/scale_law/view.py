"""Tell a scale-law result on a terminal."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.scale_law.judge import ScaleLawFinding
from umup_diag.checks.scale_law.law_fit import Assessment, Constant
from umup_diag.scaling.interpolation import Point

PASTE_HEADER = "from math import log, pi, sqrt"
_STYLE = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}


def terminal(result: Result) -> RenderableType:
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
    remarks += result.notes
    if remarks:
        parts += [Text(), *(Text(f"• {remark}") for remark in remarks)]
    parts += [Text(), Text(result.verdict.value, style=f"bold {_STYLE[result.verdict]}")]
    return Group(*parts)


def scale_law_findings(result: Result) -> list[ScaleLawFinding]:
    """The result's findings, as what they are.

    Raises:
        TypeError: if the result is not a scale-law result.
    """
    findings = []
    for finding in result.findings:
        if not isinstance(finding, ScaleLawFinding):
            raise TypeError(f"not a scale-law finding: {type(finding).__name__}")
        findings.append(finding)
    return findings


def point_text(point: Point) -> str:
    """A point in words: ``alpha=0.125 seq_len=256``."""
    return " ".join(f"{name}={value:g}" for name, value in point.items()) or "-"


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
            table.add_row(label, law_name(law), *_errors(law))
            label = ""
        if not laws:
            table.add_row(label, "none", "", "", "", "", _verdict(finding.verdict))
    return table


def law_name(law: Assessment) -> str:
    """What a reader calls it: ``fitted``, ``exact``, or its source in a word."""
    if law.law in ("fitted", "exact"):
        return law.law
    return law.source.split(" (")[0].split(",")[0].split(" ")[0].rpartition("/")[2]


def _errors(law: Assessment) -> tuple[str | Text, ...]:
    return (
        f"{law.worst_error:+.2%}" if law.worst_error < 1 else f"×{1 + law.worst_error:.3g}",
        _relative(law.rms_error),
        _relative(law.beyond_noise) if law.rejected else "none",
        point_text(law.worst_at),
        _verdict(law.verdict),
    )


def _relative(log_error: float) -> str:
    return f"{log_error:.2%}" if log_error < 1 else f"×{math.exp(log_error):.3g}"


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict.value, style=_STYLE[verdict])


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
