"""Charts as Vega-Lite specifications, for the page and as pictures."""

from collections.abc import Mapping
from textwrap import wrap
from typing import assert_never

from umup_diag.report.chart import Chart, HeatMap, Panel, Plot, Spans
from umup_diag.report.vega import data, library, theme
from umup_diag.report.vega.heat_map import heat_map
from umup_diag.report.vega.plot import plot
from umup_diag.report.vega.spans import spans
from umup_diag.report.vega.theme import Colour, Spec

_PANEL_WIDTH, _PIXELS = 270, 1.6  # of a panel of a picture; of a unit of a PNG


def page_spec(panel: Panel, chart: Chart, rows: data.Rows) -> Spec:
    """A panel by itself, as wide as its place in the page; the page has the title and legend."""
    drawn = _panel(panel, theme.colours(chart), rows, on_page=True)
    del drawn["title"]
    return {
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": "transparent",
        **_common(),
        **drawn,
    }


def picture_spec(chart: Chart, headline: str) -> Spec:
    """All panels of a chart with title and legend, on white."""
    groups = theme.colours(chart)
    panels = [
        {**_panel(panel, groups, {}, on_page=False), "width": _PANEL_WIDTH}
        for panel in chart.panels
    ]
    return {
        "title": {
            "text": chart.title,
            "subtitle": wrap(headline, _PANEL_WIDTH // 6 * min(chart.columns, len(panels))),
            "fontSize": 14,
            "offset": 12,
        },
        "columns": chart.columns,
        "concat": panels,
        "resolve": {"scale": {"color": "shared", "shape": "shared"}},
        "background": theme.GROUND.light,
        "padding": 12,
        **_common(axis={"labelFont": "DejaVu Sans"}),  # it has the raised digits
    }


def _common(*, axis: Spec | None = None) -> Spec:
    config = theme.config()
    config["axis"] |= axis or {}
    return {"$schema": library.SCHEMA, "params": list(theme.PARAMS), "config": config}


def _panel(panel: Panel, groups: Mapping[str, Colour], rows: data.Rows, *, on_page: bool) -> Spec:
    match panel:
        case Plot():
            return plot(panel, groups, rows, on_page=on_page)
        case Spans():
            return spans(panel, groups, rows, on_page=on_page)
        case HeatMap():
            return heat_map(panel, rows)
        case _:
            assert_never(panel)


def pictures(chart: Chart, headline: str) -> dict[str, bytes]:
    """File name → content, as PNG and as SVG; the same chart gives the same bytes.

    Args:
        chart: to draw.
        headline: what was run on what and came out how: a picture is seen alone.
    """
    svg = library.svg(picture_spec(chart, headline))
    return {f"{chart.stem}.svg": svg, f"{chart.stem}.png": library.png(svg, scale=_PIXELS)}
