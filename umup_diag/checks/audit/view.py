"""How an audit is shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from umup_diag.checks.audit.finding import PowerFinding
from umup_diag.checks.result import Finding, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.report import cells
from umup_diag.report.answer import Answer, Change, changes, told_first
from umup_diag.report.names import starred
from umup_diag.report.style import number, signed, verdict_line
from umup_diag.report.view import Column, View


def _of_powers(cell: Callable[[PowerFinding], str]) -> Column:
    return lambda finding: cell(finding) if isinstance(finding, PowerFinding) else ""


_COLUMNS: Mapping[str, Column] = {
    "parameter": lambda finding: finding.tensor,
    "verdict": lambda finding: finding.verdict,
    "kind": lambda finding: finding.kind,
    "role": lambda finding: finding.role,
    "value": lambda finding: number(finding.value),
    "power": _of_powers(lambda finding: signed(finding.power)),
    "95 % interval": _of_powers(lambda finding: cells.span(finding.interval, signed)),
    "expected": _of_powers(lambda finding: signed(finding.expected)),
    "what": lambda finding: (
        finding.quantity if isinstance(finding, PowerFinding) else finding.measured
    ),
    "cause": cells.cause,
    "fix": cells.fix,
}
#: Heading of the terminal's table → of the row, and of its power or ratio; λ, which is lr·λ over
#: lr, and the betas are in the other tables.
_CELLS: Mapping[str, str] = {
    "init std": "init_std",
    "mult.": "multiplier",
    "lr": "lr",
    "lr·λ": "lr_times_decay",
    "ε": "eps",
}


_RANDOM = "init std"
_NAME_WIDTH = 24  #: narrower than that, names of parameters cannot be read
_NEAR_HALF = 0.05  #: a power this close to a half power is written as one


def view() -> View:
    """Of the audit."""
    return View(table=table, answer=answer, columns=_COLUMNS, filters=("kind", "role", "verdict"))


def answer(result: Result) -> Answer:
    """What was audited, and what to change."""
    failing = [finding for finding in result.findings if finding.verdict is Verdict.FAIL]
    lead, first = told_first(
        result, offender=next(iter(failing), None), lead="First offender", nearest=None
    )
    settings = result.settings
    about = (
        f"{settings.get('model')} at width {settings.get('width')}, held to "
        f"{settings.get('target')}: what each parameter starts at and is trained with."
    )
    return Answer(about=about, lead=lead, first=first, changes=_in_order(result))


def table(result: Result, every: bool) -> RenderableType:
    """A row for each parameter, alike layers together; what to change; the verdict.

    Args:
        result: from `umup_diag.checks.audit.judge`.
        every: list every parameter and every finding by itself.
    """
    parts: list[RenderableType] = [_rows(result, every=every)] if result.table else []
    if every:
        parts += [Text(""), *(Text(f"{f.verdict}: {f.sentence}") for f in result.findings)]
    return Group(*parts, *_changes(result), verdict_line(result))


def _rows(result: Result, *, every: bool) -> Table:
    base = result.settings.get("base_width")
    caption = f"At width {result.settings.get('width')}; "
    caption += f"× what it is at width {base}." if base else "^ the power of width."
    table = Table(
        box=None,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        header_style="bold",
        caption=caption,
        caption_justify="left",
    )
    table.add_column("parameter", overflow="fold", min_width=_NAME_WIDTH)
    table.add_column("role", no_wrap=True)
    shown = [
        heading for heading, column in _CELLS.items() if any(row[column] for row in result.table)
    ]
    for heading in ("fans", *shown):
        table.add_column(heading, justify="right", no_wrap=True)
    wrong = _wrong(result.findings)
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in result.table:
        name = row["parameter"]
        fans = f"{row['fan_out']}" + (f"×{row['fan_in']}" if row["fan_in"] else "")
        # Initial weights are random: alike layers differ in the last digit.
        same = [_cell(row, _CELLS[heading], base) for heading in shown if heading != _RANDOM]
        key = (name if every else starred(name), row["role"], fans, *same, wrong.get(name, ""))
        groups.setdefault(key, []).append(row)
    for (name, role, fans, *_, bad), members in groups.items():
        first = members[0]
        label = Text(first["parameter"] if len(members) == 1 else f"{name} ({len(members)})")
        if bad:
            label.append(f"\n  {bad}", "bold red")
        table.add_row(label, role, fans, *(_cell(first, _CELLS[each], base) for each in shown))
    return table


def _cell(row: Mapping[str, Any], column: str, base: int | None) -> str:
    """A number to two digits, with its power of width, or what it is a multiple of."""
    value = row[column]
    if value is None:
        return "—"
    if base:
        ratio = row[f"{column}_ratio"]
        return f"{value:.2g}" + ("" if ratio is None else f" ×{ratio:.2g}")
    went = row[f"{column}_power"] or 0.0
    half = round(2 * went) / 2
    shown = half if abs(went - half) < _NEAR_HALF else round(went, 2)
    return f"{value:.2g}" + (f" ^{shown:+g}" if shown else "")


def _wrong(findings: Sequence[Finding]) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.verdict is Verdict.FAIL and finding.follows is None:
            found.setdefault(finding.tensor, []).append(str(finding.kind).replace("_", " "))
    return {tensor: ", ".join(kinds) for tensor, kinds in found.items()}


def _in_order(result: Result) -> list[Change]:
    """What to change, in forward order."""
    failing = [finding for finding in result.findings if finding.verdict is Verdict.FAIL]
    return changes(failing, among=[finding.tensor for finding in result.findings])


def _changes(result: Result) -> list[RenderableType]:
    """What is wrong, and what to do, a line for each cause; what is undecided; the notes."""
    lines: list[Text] = []
    for change in _in_order(result):
        lines.append(Text(f"{change.cause}: {change.action}", "bold"))
        lines.append(Text(f"  of {', '.join(change.tensors)}"))
    undecided = [f for f in result.findings if f.verdict is Verdict.INCONCLUSIVE]
    lines += [Text(f"not decided: {f.sentence}") for f in undecided[:4]]
    lines += [Text(note.text) for note in result.notes]
    return [Text(""), *lines] if lines else []
