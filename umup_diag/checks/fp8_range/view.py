"""How results of an FP8 range check are shown."""

from collections.abc import Sequence
from itertools import groupby
from math import isfinite, log2

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.fix import Fix, ScaleBeforeCast, scale_before_cast
from umup_diag.checks.fp8_range.chart import charts
from umup_diag.checks.fp8_range.finding import RangeFinding, range_findings
from umup_diag.checks.fp8_range.format_fit import Flag, FormatFit
from umup_diag.checks.fp8_range.recipe_table import recipe_table
from umup_diag.checks.result import Finding, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report import cells
from umup_diag.report.answer import Answer, Change, told_first
from umup_diag.report.names import collapse, starred
from umup_diag.report.style import OFFENDERS, signed, verdict_line
from umup_diag.report.view import View
from umup_diag.scaling.kinds import kind_order

FLAG_STYLES = {
    Flag.ALL_ZERO: "yellow",
    Flag.OK: "green",
    Flag.NEAR_MIN_NORMAL: "yellow",
    Flag.NEAR_MAX: "yellow",
    Flag.UNDERFLOW: "bold red",
    Flag.OVERFLOW: "bold red",
    Flag.NON_FINITE: "bold red",
}


def view() -> View:
    """How the results of this check are shown."""
    return View(
        table=table,
        answer=answer,
        columns={
            "tensor": lambda finding: finding.tensor,
            "verdict": lambda finding: finding.verdict,
            "kind": lambda finding: finding.kind,
            "flag": lambda finding: finding.held_to.flag.replace("_", " "),
            "format": lambda finding: finding.held_to.label,
            "RMS": lambda finding: magnitude(finding.rms),
            "absmax": lambda finding: magnitude(finding.absmax),
            "to zero": lambda finding: share(finding.held_to.underflow_fraction),
            "subnormal": lambda finding: share(finding.held_to.subnormal_fraction),
            "overflow": lambda finding: share(finding.held_to.overflow_fraction),
            "room": lambda finding: room(finding.held_to),
            "SQNR, dB": lambda finding: decibels(finding.held_to.sqnr_db),
            "best scale": lambda finding: best_scale(finding.held_to),
            "lost to no scale, dB": lambda finding: (
                "" if finding.lost_db is None else signed(finding.lost_db)
            ),
            "cause": cells.cause,
            "fix": cells.fix,
            "blocks": lambda finding: blocks(finding.held_to),
            "other formats": _others,
        },
        charts=charts,
        stems=("spans", "training", "headroom", "forecast"),
        filters=("kind", "flag", "verdict"),
        sort_keys={
            "RMS": lambda finding: finding.rms,
            "absmax": lambda finding: finding.absmax,
            "room": lambda finding: min(
                finding.held_to.headroom_high, finding.held_to.headroom_low
            ),
        },
    )


def answer(result: Result) -> Answer:
    """What does not fit, and what would make it fit."""
    findings = range_findings(result)
    lead, first = told_first(
        result,
        offender=next((f for f in findings if f.verdict is Verdict.FAIL), None),
        lead="Worst",
        nearest=min(findings, key=_least_room, default=None),
    )
    every = [f"{f.tensor} ({f.kind})" for f in findings]
    changed = [
        Change(
            cause=", ".join(dict.fromkeys(f.held_to.flag.replace("_", " ") for f, _ in group)),
            action=_together([fix for _, fix in group]),
            tensors=tuple(collapse([f"{f.tensor} ({f.kind})" for f, _ in group], among=every)),
        )
        for group in _by_fix(findings)
    ]
    return Answer(about=_about(result, findings), lead=lead, first=first, changes=changed)


def _about(result: Result, findings: Sequence[RangeFinding]) -> str:
    settings = result.settings
    what = ", ".join(map(str, settings.get("sources", ()))) or str(settings.get("model", ""))
    steps = sorted({step for f in findings for step, _, _ in f.points if step is not None})
    when = f", at {len(steps)} steps from {steps[0]} to {steps[-1]}" if len(steps) > 1 else ""
    held_to = dict.fromkeys(f"{f.kind} in {f.held_to.format}" for f in findings)
    return f"{what}{when}: {', '.join(held_to)}."


def _others(finding: RangeFinding) -> str:
    """How it fits in the formats beside."""
    return "; ".join(
        f"{fit.label} {share(fit.underflow_fraction)} to zero, room {room(fit)}, "
        f"{decibels(fit.sqnr_db)} dB"
        for fit in finding.other_formats
    )


def table(result: Result, every: bool = False) -> RenderableType:
    """What does not fit first, then what fits by kind, then what to change, then the verdict.

    Args:
        result: of this check.
        every: list every tensor by itself.
    """
    findings = range_findings(result)
    is_of_recipes = any(finding.held_to.recipe for finding in findings)
    listed = recipe_table(findings, every) if is_of_recipes else _table(findings, every=every)
    parts = [listed, *_changes(findings), *_crossings(findings)]
    if result.notes:
        parts += [Text(""), *(Text(note.text) for note in result.notes)]
    return Group(*parts, verdict_line(result))


def magnitude(value: float) -> str:
    """A size as a power of two."""
    return f"2^{log2(value):.1f}" if value > 0 and isfinite(value) else f"{value:g}"


def share(value: float) -> str:
    """A fraction: percent, and powers of ten where percent would read as zero."""
    if value == 0 or value >= 0.0005:
        return f"{100 * value:.1f}%" if value else "0"
    return f"{100 * value:.0e}%".replace("e-0", "e-")


def decibels(value: float) -> str:
    """A ratio; a dash where nothing is lost or nothing is there."""
    return f"{round(value) + 0}" if isfinite(value) else "—"


def best_scale(fit: FormatFit) -> str:
    """The power of two with the best SQNR, and that SQNR; a dash where it gains nothing."""
    if fit.best_scale_log2 is None or not fit.best_sqnr_db - fit.sqnr_db >= 0.5:
        return "—"
    return f"2^{fit.best_scale_log2}: {fit.best_sqnr_db:.0f}"


def room(fit: FormatFit) -> str:
    """Headroom at the top and at the bottom, in octaves; a dash where nothing is there."""
    if not (isfinite(fit.headroom_high) and isfinite(fit.headroom_low)):
        return "—"
    return f"{fit.headroom_high:.1f} / {fit.headroom_low:.1f}"


def blocks(fit: FormatFit) -> str:
    """Of a block format: the share of blocks that lose something, and where their scales lie."""
    if fit.blocks is None:
        return ""
    low, high = fit.blocks.smallest_scale_log2, fit.blocks.largest_scale_log2
    lost = share(fit.blocks.underflow_fraction)
    return f"{lost} of {fit.blocks.count} underflow; scales 2^{low:.0f} … 2^{high:.0f}"


def _table(findings: Sequence[RangeFinding], *, every: bool) -> RenderableType:
    rows = Table(
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
        caption="room: octaves from absmax to the largest value / from the smallest normal to RMS. "
        "best: power of two with the highest SQNR, and its dB; a fix leaves a margin as well.",
        caption_justify="left",
    )
    rows.add_column("tensor", overflow="fold")
    for heading in ("RMS", "absmax", "format", "to 0", "subn.", "over", "room", "dB", "best"):
        rows.add_column(heading, justify="right", no_wrap=True)
    listed = [finding for finding in findings if every or finding.cause]
    groups = [[finding] for finding in listed] if every else _alike(listed)
    for group in groups[: None if every else OFFENDERS]:
        _add(rows, group)
    if not every and len(groups) > OFFENDERS:
        rows.add_row(f"… and {len(groups) - OFFENDERS} more (--all lists them)")
    fitting = [] if every else [finding for finding in findings if not finding.cause]
    if fitting and listed:
        rows.add_section()
    for _, of_kind in groupby(sorted(fitting, key=_by_kind), key=_by_kind):
        group = list(of_kind)
        worst = min(group, key=_least_room)
        name = Text(f"{len(group)} {worst.kind} ")
        name.append("ok", FLAG_STYLES[Flag.OK])
        sizes = magnitude(worst.rms), magnitude(worst.absmax)
        rows.add_row(name, *sizes, *_format_cells(worst.held_to))
    return rows


def _alike(findings: Sequence[RangeFinding]) -> list[list[RangeFinding]]:
    """Findings of the same kind and flag in repeated layers together, each led by its worst."""
    groups: dict[tuple[str, ...], list[RangeFinding]] = {}
    for finding in findings:
        key = (starred(finding.tensor), finding.kind, finding.held_to.flag)
        groups.setdefault(key, []).append(finding)
    return list(groups.values())


def _by_kind(finding: Finding) -> int:
    return kind_order(finding.kind)


def _least_room(finding: RangeFinding) -> float:
    tightest = min(finding.held_to.headroom_high, finding.held_to.headroom_low)
    return tightest if isfinite(tightest) else float("inf")


def _add(rows: Table, group: Sequence[RangeFinding]) -> None:
    """A row for the worst of a group, a second with what it is, and one for each further format."""
    worst, flag = group[0], group[0].held_to.flag
    is_alone = len(group) == 1
    name = Text(worst.tensor if is_alone else starred(worst.tensor))
    about = Text(f"  {worst.kind} ", "dim")
    about.append(flag.replace("_", " "), FLAG_STYLES[flag])
    about.append("" if is_alone else f" ×{len(group)}", "dim")
    if worst.step is not None and len(worst.points) > 1 and flag is not Flag.OK:
        about.append(f" since {worst.since}", "dim")
    sizes = magnitude(worst.rms), magnitude(worst.absmax)
    rows.add_row(name, *sizes, *_format_cells(worst.held_to))
    second = worst.other_formats[:1]
    rows.add_row(about, "", "", *(cell for fit in second for cell in _format_cells(fit)))
    for fit in worst.other_formats[1:]:
        rows.add_row("", "", "", *_format_cells(fit))


def _format_cells(fit: FormatFit) -> tuple[str | Text, ...]:
    return (
        Text(fit.format, FLAG_STYLES[fit.flag]),
        share(fit.underflow_fraction),
        share(fit.subnormal_fraction),
        share(fit.overflow_fraction),
        room(fit),
        decibels(fit.sqnr_db),
        best_scale(fit),
    )


def _by_fix(findings: Sequence[RangeFinding]) -> list[list[tuple[RangeFinding, Fix]]]:
    """Tensors with the same fix together, whatever the power of two."""
    groups: dict[tuple[object, ...], list[tuple[RangeFinding, Fix]]] = {}
    for finding in findings:
        if finding.fix:
            steps = finding.fix.steps
            key = tuple(type(s) if isinstance(s, ScaleBeforeCast) else s for s in steps)
            groups.setdefault(key, []).append((finding, finding.fix))
    return list(groups.values())


def _changes(findings: Sequence[RangeFinding]) -> list[RenderableType]:
    """What to change, one line for each fix."""
    lines: list[RenderableType] = []
    every = [f"{finding.tensor} ({finding.kind})" for finding in findings]
    for group in _by_fix(findings)[:OFFENDERS]:
        names = collapse([f"{f.tensor} ({f.kind})" for f, _ in group], among=every)
        more = f", … ({len(names)} in all)" if len(names) > 6 else ""
        lines += [
            Text(f"\n{_together([fix for _, fix in group])}:", "bold"),
            Text(f"  {', '.join(names[:6])}{more}"),
        ]
    return lines


def _together(fixes: Sequence[Fix]) -> str:
    """Fixes that differ in the power of two alone, in words."""
    powers = [s.log2 for fix in fixes for s in fix.steps if isinstance(s, ScaleBeforeCast)]
    ends = dict.fromkeys([min(powers), max(powers)]) if powers else ()
    amount = " … ".join(f"2^{power}" for power in ends)
    return " or ".join(
        scale_before_cast(amount)
        if isinstance(step, ScaleBeforeCast)
        else step.words(is_first=not at)
        for at, step in enumerate(fixes[0].steps)
    )


def _crossings(findings: Sequence[RangeFinding]) -> list[RenderableType]:
    """What will leave its range, the earliest first."""
    ahead = [(each, each.crossing) for each in findings if each.crossing]
    ahead.sort(key=lambda pair: pair[1].crossing or 0.0)
    if not ahead:
        return []
    return [
        Text("\nLeaving the range if it goes on like this:", "bold"),
        *(Text(f"  {f.tensor} ({f.kind}): {crossing.words}") for f, crossing in ahead[:OFFENDERS]),
    ]
