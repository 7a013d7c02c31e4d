"""A finding in one sentence, for where there is no table: annotations, JUnit, assertion messages.

A check registers its own with ``@sentence.register``.
"""

import math
from functools import singledispatch

from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Finding, Verdict
from umup_diag.checks.unit_scale.judge import ScaleFinding


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if math.isfinite(value) else str(value)


@singledispatch
def sentence(finding: Finding) -> str:
    """Tensor, kind, and what is wrong with it."""
    return f"{finding.tensor} {finding.kind}{_remedy(finding) or f': {finding.verdict}'}"


@sentence.register
def _(finding: ScaleFinding) -> str:
    low, high = finding.interval
    measured = number(finding.rms)
    if low != high:
        measured += f" ({number(low)}…{number(high)})"
    wanted = f"{number(finding.accepted[0])}…{number(finding.accepted[1])}"
    at = f" at width {finding.width}" if finding.width else ""
    text = f"{finding.tensor} {finding.kind}{at}: RMS {measured}, wanted {wanted}"
    if finding.exception:
        text += f" by exception ({finding.exception})"
    elif finding.because:
        text += f" around {number(finding.expected)} ({finding.because})"
    return text + _remedy(finding)


@sentence.register
def _(finding: SlopeFinding) -> str:
    low, high = finding.interval
    wanted = f"{finding.accepted[0]:+.2f}…{finding.accepted[1]:+.2f}"
    when = f"after {finding.step} updates" if finding.step else "at init"
    return (
        f"{finding.tensor} {finding.kind} {when}: width slope {finding.slope:+.2f} "
        f"({low:+.2f}…{high:+.2f}), wanted {wanted}{_remedy(finding)}"
    )


def _remedy(finding: Finding) -> str:
    if finding.verdict is Verdict.PASS:
        return ""
    return "".join(f": {words}" for words in (finding.cause, finding.fix) if words)
