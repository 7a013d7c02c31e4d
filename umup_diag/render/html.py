"""A result as one HTML file that needs no network."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from umup_diag.judge.result import Result

_TEMPLATES = Environment(
    loader=PackageLoader("umup_diag.render", "."),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    result: Result, *, columns: Mapping[str, str], figures: Mapping[str, bytes], caption: str
) -> str:
    """The whole page.

    Args:
        result: what to tell.
        columns: heading → attribute of the findings to show.
        figures: name → PNG.
        caption: of all figures.
    """
    rows = [
        [_cell(getattr(finding, name, None)) for name in columns.values()]
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
