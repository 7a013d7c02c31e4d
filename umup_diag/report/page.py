"""A result as one HTML file that needs no network."""

from base64 import b64encode
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from umup_diag.checks.result import Result
from umup_diag.report.view import View

_TEMPLATES = Environment(
    loader=PackageLoader("umup_diag.report", "."),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(result: Result, view: View, pictures: Mapping[str, bytes]) -> str:
    """The whole page.

    Args:
        result: to show.
        view: of its check.
        pictures: name → PNG.
    """
    rows = [[column(finding) for column in view.columns.values()] for finding in result.findings]
    return _TEMPLATES.get_template("page.html.jinja").render(
        result=result,
        headings=list(view.columns),
        rows=rows,
        figures={name: b64encode(png).decode() for name, png in pictures.items()},
        caption=view.caption,
    )
