"""Cells of the page's table: how a finding's attributes are written."""

from collections.abc import Callable

from umup_diag.checks.result import Finding


def span(ends: tuple[float, float], written: Callable[[float], str]) -> str:
    """Two ends, each as written."""
    return " … ".join(map(written, ends))


def cause(finding: Finding) -> str:
    """Why it fails."""
    return finding.cause or ""


def fix(finding: Finding) -> str:
    """What to change."""
    return str(finding.fix or "")
