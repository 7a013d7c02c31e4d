"""A result as one HTML file that needs no network."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from umup_diag.checks.result import Result

#: An attribute of a finding, or a function from the finding to text.
Column = str | Callable[[Any], str]

_TEMPLATES = Environment(
    loader=PackageLoader("umup_diag.report", "."),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    result: Result, *, columns: Mapping[str, Column], figures: Mapping[str, bytes], caption: str
) -> str:
    """The whole page.

    Args:
        result: what to tell.
        columns: heading → what to show of each finding.
        figures: name → PNG.
        caption: of all figures.
    """
    rows = [
        [
            column(finding) if callable(column) else _cell(getattr(finding, column, None))
            for column in columns.values()
        ]
        for finding in result.findings
    ]
    return _TEMPLATES.get_template("page.html.jinja").render(
        result=result,
        headings=list(columns),
        rows=rows,
        figures={name: b64encode(png).decode() for name, png in figures.items()},
        caption=caption,
    )


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value + 0.0:+.3f}"
        case tuple():
            return " … ".join(map(_cell, value))
        case _:
            return str(value)
