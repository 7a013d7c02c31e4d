"""FP8 range on a terminal."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import isfinite, log2
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.coordcheck.view import OFFENDERS, verdict
from umup_diag.checks.fp8_range.format_fit import Flag, FormatFit
from umup_diag.checks.fp8_range.judge import RangeFinding
from umup_diag.checks.result import Finding, Result
from umup_diag.report.names import collapse
from umup_diag.scaling.kinds import kind_order

_POWER = re.compile(r"2\^(-?\d+)")
STYLE = {
    Flag.OK: "green",
    Flag.NEAR_MIN_NORMAL: "yellow",
    Flag.NEAR_MAX: "yellow",
    Flag.UNDERFLOW: "bold red",
    Flag.OVERFLOW: "bold red",
    Flag.NON_FINITE: "bold red",
}


def fp8_range(result: Result, *, every: bool = False) -> RenderableType:
    """What does not fit first, then what fits by kind, then what to change, then the verdict.

    Args:
        result: from `umup_diag.checks.fp8_range.judge`.
        every: list every tensor by itself.
    """
    findings = ranges(result)
    parts: list[RenderableType] = [_table(findings, every=every), *_changes(findings)]
    if result.notes:
        parts += [Text(""), *map(Text, result.notes)]
    return Group(*parts, verdict(result))


def ranges(result: Result) -> list[RangeFinding]:
    """The findings, typed."""
    return [finding for finding in result.findings if isinstance(finding, RangeFinding)]


def magnitude(value: float) -> str:
    """A size as a power of two."""
    return f"2^{log2(value):.1f}" if value > 0 and isfinite(value) else f"{value:g}"


def share(value: float) -> str:
    """A fraction: percent, and powers of ten where percent would read as zero."""
    if value == 0 or value >= 0.0005:
        return f"{100 * value:.1f}%" if value else "0"
    return f"{100 * value:.0e}%".replace("e-0", "e-")


def decibels(value: float) -> str:
    """A ratio; dashes where nothing is lost or nothing is there."""
    return f"{round(value) + 0}" if isfinite(value) else "—"


def scale(found: Mapping[str, Any]) -> str:
    """The best power of two, and the SQNR that it gives; nothing where it gains nothing."""
    gain = found["best_sqnr_db"] - found["sqnr_db"]
    if found["best_scale_log2"] is None or not gain >= 0.5:
        return "—"
    return f"2^{found['best_scale_log2']}: {found['best_sqnr_db']:.0f}"


def room(found: Mapping[str, Any]) -> str:
    """Headroom at the top and at the bottom, in octaves."""
    return f"{found['headroom_high']:.1f} / {found['headroom_low']:.1f}"


def judged(finding: RangeFinding) -> dict[str, Any]:
    """The numbers in the format that the verdict is about, by the names of those beside it."""
    return {name: getattr(finding, name) for name in FormatFit.__dataclass_fields__}


def _table(findings: Sequence[RangeFinding], *, every: bool) -> Table:
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        caption="room: octaves from absmax to the largest value / from the smallest normal to RMS. "
        "best: power of two, and the dB that it gives.",
        caption_justify="left",
    )
    table.add_column("tensor", overflow="fold")
    for heading in ("RMS", "absmax", "format", "to 0", "subn.", "over", "room", "dB", "best"):
        table.add_column(heading, justify="right", no_wrap=True)
    loud = [finding for finding in findings if every or finding.cause]
    groups = [[finding] for finding in loud] if every else _alike(loud)
    for members in groups[: None if every else OFFENDERS]:
        _add(table, members)
    if not every and len(groups) > OFFENDERS:
        table.add_row(f"… and {len(groups) - OFFENDERS} more (--all lists them)")
    quiet = [] if every else [finding for finding in findings if not finding.cause]
    if quiet and loud:
        table.add_section()
    for _, kin in groupby(sorted(quiet, key=_by_kind), key=_by_kind):
        members = list(kin)
        worst = min(members, key=_least_room)
        name = Text(f"{len(members)} {worst.kind} ")
        name.append("ok", STYLE[Flag.OK])
        table.add_row(name, magnitude(worst.rms), magnitude(worst.absmax), *_cells(judged(worst)))
    return table


def _alike(findings: Sequence[RangeFinding]) -> list[list[RangeFinding]]:
    """Findings of the same kind and flag in repeated layers together, each led by its worst."""
    groups: dict[tuple[object, ...], list[RangeFinding]] = {}
    for finding in findings:
        key = (collapse([finding.tensor])[0], finding.kind, finding.flag)
        groups.setdefault(key, []).append(finding)
    return list(groups.values())


def _by_kind(finding: Finding) -> int:
    return kind_order(finding.kind)


def _least_room(finding: RangeFinding) -> float:
    tightest = min(finding.headroom_high, finding.headroom_low)
    return tightest if isfinite(tightest) else float("inf")


def _add(table: Table, members: Sequence[RangeFinding]) -> None:
    worst = members[0]
    alone = len(members) == 1
    name = Text(worst.tensor if alone else collapse([worst.tensor])[0])
    about = Text(f"  {worst.kind} ", "dim")
    about.append(worst.flag.replace("_", " "), STYLE[worst.severity])
    about.append("" if alone else f" ×{len(members)}", "dim")
    if worst.step is not None and len(worst.points) > 1 and worst.severity:
        about.append(f" since {worst.since}", "dim")
    sizes = magnitude(worst.rms), magnitude(worst.absmax)
    table.add_row(name, *sizes, *_cells(judged(worst)))
    first = worst.beside[:1]
    table.add_row(about, "", "", *(cell for each in first for cell in _cells(each)))
    for other in worst.beside[1:]:
        table.add_row("", "", "", *_cells(other))


def _cells(found: Mapping[str, Any]) -> tuple[str | Text, ...]:
    return (
        Text(found["format"], STYLE[Flag[found["flag"].upper()]]),
        share(found["underflow_fraction"]),
        share(found["subnormal_fraction"]),
        share(found["overflow_fraction"]),
        room(found),
        decibels(found["sqnr_db"]),
        scale(found),
    )


def _changes(findings: Sequence[RangeFinding]) -> list[RenderableType]:
    """What to do, one line per remedy, and what is coming."""
    fixes: dict[str, list[RangeFinding]] = {}
    for finding in findings:
        if finding.fix:
            fixes.setdefault(_POWER.sub("2^*", finding.fix), []).append(finding)
    lines: list[RenderableType] = []
    for fix, kin in list(fixes.items())[:OFFENDERS]:
        names = collapse(f"{finding.tensor} ({finding.kind})" for finding in kin)
        more = f", … ({len(names)} in all)" if len(names) > 6 else ""
        lines += [
            Text("\n" + fix.replace("2^*", _range(kin)) + ":", "bold"),
            Text(f"  {', '.join(names[:6])}{more}"),
        ]
    ahead = [finding for finding in findings if finding.crossing]
    ahead.sort(key=lambda finding: finding.crossing.crossing or 0.0 if finding.crossing else 0.0)
    if ahead:
        lines.append(Text("\nLeaving the range if it goes on like this:", "bold"))
        for finding in ahead[:OFFENDERS]:
            said = (finding.cause or "").rpartition("; ")[2]
            lines.append(Text(f"  {finding.tensor} ({finding.kind}): {said}"))
    return lines


def _range(findings: Sequence[RangeFinding]) -> str:
    """The powers of two that remedies ask for, from the lowest to the highest."""
    found = [int(power) for finding in findings for power in _POWER.findall(finding.fix or "")]
    if not found:
        return ""
    low, high = min(found), max(found)
    return f"2^{low}" if low == high else f"2^{low} … 2^{high}"
