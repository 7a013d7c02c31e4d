"""What stands on a page, and the page."""

import gzip
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from umup_diag.checks.result import Finding, Result, Verdict
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
_NOTHING = {"", "—"}  #: cells that say that there is nothing to say
#: Rows that pass; more are folded: where something else is there to see, and where nothing is.
MOST_UNFOLDED, MOST_UNFOLDED_ALONE = 12, 400


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
        title: a heading.
        headings: of its columns; the first column names what a row is about.
        rows: in order.
        filters: headings of columns to filter by.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Row]
    filters: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        items: Sequence[Any],
        columns: Mapping[str, Callable[[Any], Cell]],
        *,
        verdict: Callable[[Any], str] = lambda _: "",
        title: str = "Every finding",
        filters: Sequence[str] = (),
    ) -> Self:
        """A row an item; a column with nothing in every row is left out.

        Args:
            items: in order.
            columns: heading → cell of an item.
            verdict: of an item; empty where nothing is judged.
            title: a heading.
            filters: headings of columns to filter by.
        """
        cells = {heading: list(map(column, items)) for heading, column in columns.items()}
        kept = {
            heading: each for heading, each in cells.items() if {c.text for c in each} - _NOTHING
        }
        return cls(
            title=title,
            headings=list(kept),
            rows=[
                Row(verdict=verdict(item), cells=[column[at] for column in kept.values()])
                for at, item in enumerate(items)
            ],
            filters=[heading for heading in filters if heading in kept],
        )

    @property
    def is_folded(self) -> bool:
        """Whether rows that pass are folded at first."""
        passing = sum(row.verdict == Verdict.PASS for row in self.rows)
        is_alone = passing == len(self.rows)
        return passing > (MOST_UNFOLDED_ALONE if is_alone else MOST_UNFOLDED)

    @property
    def is_judged(self) -> bool:
        """Whether its rows have verdicts."""
        return any(row.verdict for row in self.rows)

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
        rows: of findings, or of what is drawn of none; by them charts and table are linked.
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

    def column(heading: str) -> Callable[[Finding], Cell]:
        text, key = view.columns[heading], view.sort_keys.get(heading, lambda _: None)
        return lambda finding: Cell(text=str(text(finding)), key=key(finding))

    table = Table.of(
        result.findings,
        {heading: column(heading) for heading in view.columns},
        verdict=lambda finding: str(finding.verdict),
        filters=view.filters,
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
