"""What stands on a page, and the page."""

import gzip
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from umup_diag.checks.result import Result, Verdict
from umup_diag.report import json
from umup_diag.report.answer import Answer
from umup_diag.report.chart import Chart
from umup_diag.report.vega import library, theme
from umup_diag.report.vega import render as vega
from umup_diag.report.vega.data import Rows
from umup_diag.report.view import View

_TEMPLATES = Environment(
    loader=PackageLoader("umup_diag.report.page", "."),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SIGNS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?", "ERROR": "!"}
MOST_UNFOLDED = 60  #: rows that pass; more are folded though nothing else is there to see


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Text of a cell, the number it is sorted by if the text does not say, and a link."""

    text: str
    key: float | None = None
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: how it was judged, and its cells."""

    verdict: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The table of a page.

    Attributes:
        headings: of its columns; the first column names what a row is about.
        rows: in order.
        filters: headings of columns to filter by.
    """

    headings: Sequence[str]
    rows: Sequence[Row]
    filters: Sequence[str] = ()

    @property
    def is_folded(self) -> bool:
        """Whether rows that pass are folded at first."""
        passing = sum(row.verdict == Verdict.PASS for row in self.rows)
        return passing > (MOST_UNFOLDED if passing == len(self.rows) else 0)

    def values(self, heading: str) -> list[str]:
        """What a filter offers."""
        at = list(self.headings).index(heading)
        return list(dict.fromkeys(row.cells[at].text for row in self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What stands on a page, of whatever it is about.

    Attributes:
        title: the command.
        status: a verdict or ERROR; None where nothing is judged.
        counts: of what the status is made.
        answer: told first.
        charts: drawn.
        table: below.
        rows: of findings, by which charts and table are linked.
        notes: sentences.
        details: title → name → value, folded at the end.
        document: the result as JSON text, kept inside; None if there is none.
    """

    title: str
    status: str | None
    counts: str
    answer: Answer
    charts: Sequence[Chart] = ()
    table: Table | None = None
    rows: Rows = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    document: str | None = None

    @property
    def headline(self) -> str:
        """One line, for what stands alone."""
        return " · ".join(filter(None, (self.title, self.status, self.answer.about)))


def page(result: Result, view: View) -> Page:
    """The page of a result."""
    columns = {
        heading: column
        for heading, column in view.columns.items()
        if any(column(finding) for finding in result.findings)  # nothing to say, no column
    }
    table = Table(
        headings=list(columns),
        rows=[
            Row(
                verdict=str(finding.verdict),
                cells=[
                    Cell(text=str(column(finding)), key=_key(view, heading, finding))
                    for heading, column in columns.items()
                ],
            )
            for finding in result.findings
        ],
        filters=[heading for heading in view.filters if heading in columns],
    )
    rows = {
        id(finding): (at, row.cells[0].text)
        for at, (finding, row) in enumerate(zip(result.findings, table.rows, strict=True))
    }
    return Page(
        title=result.command,
        status=str(result.verdict),
        counts=result.counts() or "nothing judged",
        answer=view.answer(result),
        charts=view.charts(result),
        table=table,
        rows=rows,
        notes=[note.text for note in result.notes],
        details={"Settings": result.settings, "Environment": result.environment},
        document=json.dumps(result),
    )


def _key(view: View, heading: str, finding: Any) -> float | None:
    key = view.sort_keys.get(heading)
    return None if key is None else key(finding)


def render(content: Page) -> str:
    """The page as HTML; the library that draws is left out where there is nothing to draw."""
    return _TEMPLATES.get_template("page.html.jinja").render(
        page=content,
        sign=_SIGNS.get(content.status or "", ""),
        charts=[
            (
                chart,
                theme.colours(chart),
                [vega.page_spec(p, chart, content.rows) for p in chart.panels],
            )
            for chart in content.charts
        ],
        library=library.script() if content.charts else "",
        document=_packed(content.document) if content.document else None,
        theme=theme,
    )


def _packed(document: str) -> str:
    return b64encode(gzip.compress(document.encode(), mtime=0)).decode()
