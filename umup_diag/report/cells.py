"""Cells of the page's table: how a finding's attributes are written."""

from umup_diag.checks.result import Finding


def slope(value: float | None) -> str:
    """A slope or a factor with its sign, to three decimals; empty for None."""
    return "" if value is None else f"{value + 0.0:+.3f}"


def span(ends: tuple[float, float]) -> str:
    """Two ends."""
    return " … ".join(map(slope, ends))


def cause(finding: Finding) -> str:
    """Why it fails."""
    return finding.cause or ""


def fix(finding: Finding) -> str:
    """What to change."""
    return str(finding.fix or "")
