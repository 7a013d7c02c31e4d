"""`Spans` as Vega-Lite: a bar for each row, with ticks inside."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from math import inf, isfinite
from typing import Any

from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Spans
from umup_diag.report.vega import data, theme
from umup_diag.report.vega.plot import shortened
from umup_diag.report.vega.theme import Colour, Spec

ROW = 14  #: pixels
_LETTER, _LINE = 5.6, 12  # pixels: of a name, wide; of a line of names, high
_NARROWEST = 140  # pixels that the rows' names leave for the bars, at least
_OPACITY = {"expr": "lit === '' || (datum.tensor !== '' && datum.tensor === lit) ? 1 : 0.25"}


def spans(panel: Spans, groups: Mapping[str, Colour], rows: data.Rows, *, on_page: bool) -> Spec:
    """A panel; on a page its legend is beside it."""
    columns = {
        "at": "number",
        "low": "number",
        "high": "number",
        **dict.fromkeys(("row", "tensor", "verdict", "name", "short", "group"), "string"),
    }
    bars: list[Sequence[Any]] = []
    ticks: list[Sequence[Any]] = []
    for at, span in enumerate(panel.rows):
        about = data.link(span, span.finding, rows)
        ends = (data.place(end, panel.x) for end in (span.low, span.high))
        words = (span.name, shortened(span.name, 34), span.group or "")
        bars.append((at, *ends, *about, *words))
        ticks += [(at, data.place(tick, panel.x), *about) for tick in span.ticks]
    shown = {"filter": "!hidden[datum.row]"}
    names = {str(at): shortened(span.name, 34) for at, span in enumerate(panel.rows)}
    y = {
        "field": "at",
        "type": "ordinal",
        "title": None,
        "axis": {
            "labelExpr": f"({names})[datum.value]",
            "ticks": False,
            "labelLimit": 230,
            "labelOverlap": True,
        },
    }
    x = {
        "field": "low",
        "type": "quantitative",
        "axis": data.axis(panel.x),
        "scale": {"domain": _domain(panel), "nice": False, "zero": False},
    }
    tooltip = [
        {"field": "name", "title": " "},
        {"field": "low_text", "title": "smallest"},
        {"field": "high_text", "title": "largest"},
        {"field": "group", "title": " "},
    ]
    colour = {
        "field": "group",
        "type": "nominal",
        "scale": theme.colour_scale(groups),
        "legend": None if on_page or not groups else theme.legend(groups),
    }
    columns_of_ticks = dict.fromkeys(("row", "tensor", "verdict"), "string")
    return {
        "title": panel.title,
        "description": panel.alt,
        "height": ROW * max(1, len(panel.rows)),
        "layer": [
            *_limits(panel),
            {
                "data": data.table(columns, bars),
                "transform": [
                    shown,
                    {"calculate": data.number(panel.x, "low"), "as": "low_text"},
                    {"calculate": data.number(panel.x, "high"), "as": "high_text"},
                ],
                "mark": {"type": "bar", "size": 7, "opacity": _OPACITY, "clip": True},
                "encoding": {
                    "x": x,
                    "x2": {"field": "high"},
                    "y": y,
                    "color": colour,
                    "tooltip": tooltip,
                },
            },
            {
                "data": data.table({"at": "number", "x": "number", **columns_of_ticks}, ticks),
                "transform": [shown],
                "mark": {
                    "type": "tick",
                    "thickness": 2,
                    "size": 12,
                    "color": theme.INK.expr,
                    "clip": True,
                },
                "encoding": {"x": {**x, "field": "x"}, "y": y},
            },
        ],
    }


def _domain(panel: Spans) -> list[float]:
    values = [value for span in panel.rows for value in (span.low, span.high)]
    values += [end for limit in panel.limits for end in (limit.at, limit.until) if end is not None]
    placed = [at for value in values if (at := data.place(value, panel.x)) is not None]
    low, high = min(placed, default=0.0), max(placed, default=1.0)
    pad = 0.02 * (high - low) or 0.5
    return [low - pad, high + pad]


def _limits(panel: Spans) -> Iterator[Spec]:
    """Lines and areas, with their names above the rows, in lines that keep them apart."""
    low, high = _domain(panel)
    taken: dict[int, float] = {}  # line of names → where it is free from
    for limit in sorted(panel.limits, key=lambda limit: limit.at):
        at, until = data.place(limit.at, panel.x), data.place(limit.until, panel.x)
        if at is None or not isfinite(at):
            continue
        values = {"values": [{"x": at, "x2": until}]}
        encoding: Spec = {"x": {"field": "x", "type": "quantitative"}}
        wash = theme.VERDICTS[Verdict.INCONCLUSIVE] if limit.is_bad else theme.PALETTE[2]
        mark: Spec = {"type": "rule", "strokeDash": [2, 3], "color": theme.MUTED.expr}
        if until is not None:
            mark = {"type": "rect", "color": wash.expr, "opacity": 0.14}
            encoding["x2"] = {"field": "x2"}
        yield {"data": values, "mark": mark, "encoding": encoding}
        if limit.label:
            is_left = at < (low + high) / 2
            width = len(limit.label) * _LETTER * (high - low) / _NARROWEST
            begin = at if is_left else at - width
            line = next(line for line in count() if taken.get(line, -inf) <= begin)
            taken[line] = begin + width
            text = {
                "type": "text",
                "text": limit.label,
                "y": 0,
                "dy": -3 - _LINE * line,
                "align": "left" if is_left else "right",
                "baseline": "bottom",
                "color": theme.MUTED.expr,
            }
            yield {"data": values, "mark": text, "encoding": {"x": encoding["x"]}}
