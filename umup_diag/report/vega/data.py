"""Tables inside a specification, as CSV: a fifth of the size of a list of objects."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from math import isfinite, log2
from typing import Any

from umup_diag.checks.result import Finding
from umup_diag.report.chart import Axis

Spec = dict[str, Any]
#: Id of a finding, or of what is drawn → its row in the table, and whose it is.
Rows = Mapping[int, tuple[int, str]]


def table(columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> Spec:
    """Inline data.

    Args:
        columns: name → ``number`` or ``string``.
        rows: of cells; None is nothing, floats are kept to five digits.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return {"values": text.getvalue(), "format": {"type": "csv", "parse": dict(columns)}}


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else value


def link(drawn: object, finding: Finding | None, rows: Rows) -> tuple[int | None, str, str]:
    """Row in the table, whose it is, and verdict; what belongs to no finding has no verdict.

    Args:
        drawn: a series, a bar or a row of cells.
        finding: that it shows.
        rows: of findings, or of what is drawn of none.
    """
    if finding is None:
        return *rows.get(id(drawn), (None, "")), ""
    row, tensor = rows.get(id(finding), (None, finding.tensor))
    return row, tensor, str(finding.verdict)


def place(value: float | None, axis: Axis) -> float | None:
    """Where a value stands on an axis; None for one that has no place there."""
    if value is None or not isfinite(value) or (axis.log2 and value <= 0):
        return None
    return log2(value) if axis.log2 else float(value)


_RAISED = dict(zip("0123456789.−", "⁰¹²³⁴⁵⁶⁷⁸⁹·⁻", strict=True))


def _power_of_two(exponent: str) -> str:
    """The Vega expression of 2 to a power, with the power raised."""
    text = f"format({exponent}, '~g')"
    for plain, raised in _RAISED.items():
        text = f"replace({text}, /[{plain}]/g, '{raised}')"
    return f"'2' + {text}"


def axis(of: Axis) -> Spec:
    """An axis with its labels."""
    spec: Spec = {"title": of.title}
    if of.ticks is not None:
        labels = {place(at, of): label for at, label in of.ticks.items()}
        at = [each for each in labels if each is not None]
        known = {f"{each:.6f}": labels[each] for each in at}
        spec |= {"values": at, "labelExpr": f"({known})[format(datum.value, '.6f')]"}
    elif of.log2:
        spec |= {"tickMinStep": 1, "labelExpr": _power_of_two("datum.value")}
    elif of.percent:
        spec |= {"format": "+.3~p"}
    return spec


def number(of: Axis, field: str) -> str:
    """The Vega expression of a value on an axis, as a tooltip shows it."""
    at = f"datum.{field}"
    if of.log2:
        return f"format(pow(2, {at}), '.4~g') + ' = 2^' + format({at}, '.2~f')"
    return f"format({at}, '{'+.3~p' if of.percent else '.4~g'}')"
