"""What each recipe makes of a tensor, side by side: the terminal's answer to ``--recipe``."""

from collections.abc import Sequence
from math import isfinite

from rich.table import Table
from rich.text import Text

from umup_diag.checks.fp8_range.finding import RangeFinding
from umup_diag.checks.fp8_range.format_fit import Flag, FormatFit
from umup_diag.report.names import collapse
from umup_diag.report.style import signed
from umup_diag.scaling.kinds import kind_order


def recipe_table(findings: Sequence[RangeFinding], every: bool) -> Table:
    """A row for the tensors that layers have alike, of the one that loses most; a column a recipe.

    Args:
        findings: of one result, which is held to recipes.
        every: a row for each tensor.
    """
    rows = Table(
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        caption="dB of signal over the noise of the cast, where the first recipe does worst; "
        "*: some overflow. lost: against the best power of two before the cast.",
        caption_justify="left",
    )
    rows.add_column("tensor", overflow="fold", min_width=24)
    rows.add_column("kind", no_wrap=True)
    rows.add_column("format", no_wrap=True)
    for fit in (findings[0].held_to, *findings[0].other_formats):
        rows.add_column(fit.recipe or fit.format, justify="right", no_wrap=True)
    for heading in ("lost", "to 0"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("flag", no_wrap=True)
    for group in _groups(findings, every):
        _add(rows, group)
    return rows


def _groups(findings: Sequence[RangeFinding], every: bool) -> list[list[RangeFinding]]:
    groups: dict[tuple[str, ...], list[RangeFinding]] = {}
    for finding in sorted(findings, key=lambda each: (kind_order(each.kind), each.order)):
        name = finding.tensor if every else collapse([finding.tensor])[0]
        groups.setdefault((name, finding.kind, finding.held_to.format), []).append(finding)
    return list(groups.values())


def _add(rows: Table, group: Sequence[RangeFinding]) -> None:
    worst = max(group, key=lambda each: (each.held_to.flag.severity, each.lost_db or 0.0))
    flag, fit = worst.held_to.flag, worst.held_to
    style = "bold red" if flag.fails else "green" if flag is Flag.OK else "yellow"
    count = f" ({len(group)})" if len(group) > 1 else ""
    name = collapse([worst.tensor])[0] if count else worst.tensor
    rows.add_row(
        f"{name}{count}",
        worst.kind,
        fit.format,
        *map(decibels, (fit, *worst.other_formats)),
        "" if worst.lost_db is None else signed(worst.lost_db),
        f"{100 * fit.underflow_fraction:.1f}%" if fit.underflow_fraction else "0",
        Text(flag.replace("_", " "), style),
    )


def decibels(fit: FormatFit) -> str:
    """SQNR; a dash where nothing is there or nothing is lost, a star where elements overflow."""
    value = f"{fit.sqnr_db:.1f}" if isfinite(fit.sqnr_db) else "—"
    is_over = fit.overflow_fraction and fit.blocks is None  # a block's largest may saturate
    return f"{value}*" if is_over else value
