"""The marks of a `Plot`: limits, bands, lines, error bars, dots, and names beside what fails."""

from collections.abc import Iterator

from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Draw, Limit, Plot
from umup_diag.report.vega import data, theme
from umup_diag.report.vega.theme import Spec

FEW = 40  #: series; of more, the dots of lines that pass are left out
_IS_LIT = "(datum.tensor !== '' && datum.tensor === lit)"
_FAILS = f"datum.verdict === '{Verdict.FAIL}'"
_NAMED = f"(lit === '' ? datum.label !== '' : {_IS_LIT})"  # has its name, expectation and band
_DOTTED = (Draw.DOTS, Draw.LINE_AND_DOTS)
_LINED = (Draw.LINE, Draw.LINE_AND_DOTS)
_DASH = {"type": "line", "strokeDash": [5, 3], "strokeWidth": 1.4, "clip": True}

#: The wheel and the mouse alone scroll the page; with Shift they zoom and move.
_ZOOM: Spec = {
    "name": "zoom",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    },
    "bind": "scales",
}


def limit(limit: Limit, panel: Plot) -> Iterator[Spec]:
    """A line across, or an area, with its name at the right."""
    at, until = data.place(limit.at, panel.y), data.place(limit.until, panel.y)
    if at is None:
        return
    values = {"values": [{"y": at, "y2": until}]}
    cleared = {"x": None, "color": None, "detail": None}
    y = _y("y")
    if until is None:
        mark: Spec = {"type": "rule", "strokeDash": [2, 3], "color": theme.MUTED.expr}
    else:
        wash = theme.VERDICTS[Verdict.FAIL] if limit.is_bad else theme.SHADE
        mark = {"type": "rect", "color": wash.expr, "opacity": 0.12}
        y = _between("y", "y2")
    yield {"data": values, "mark": mark, "encoding": {**cleared, **y}}
    if limit.label:
        text: Spec = {
            "type": "text",
            "text": limit.label,
            "align": "right",
            "baseline": "bottom",
            "x": {"expr": "width"},
            "dy": -2,
            "color": theme.MUTED.expr,
        }
        yield {"data": values, "mark": text, "encoding": {**cleared, **_y("y")}}


def layers(panel: Plot, *, middle: float, zooms: bool) -> Iterator[Spec]:
    """From the back to the front.

    Args:
        panel: whose series they draw.
        middle: of the x axis: names stand left of what is right of it.
        zooms: whether they can be zoomed.
    """
    drawn = {each.draw for each in panel.series}
    is_crowded = len(panel.series) > FEW
    faint = 0.4 if is_crowded and drawn & set(_LINED) else 0.85
    opacity = {"expr": f"lit === '' ? ({_FAILS} ? 1 : {faint}) : ({_IS_LIT} ? 1 : 0.12)"}
    tooltip = _tooltip(panel)
    if any(each.slope for each in panel.series):
        yield from _slopes()
    if Draw.BAND in drawn:
        mark: Spec = {"type": "area", "opacity": 0.2, "clip": True}
        yield {"transform": [_only(Draw.BAND)], "mark": mark, "encoding": _between("low", "high")}
    if Draw.DASHED in drawn:
        yield {"transform": [_only(Draw.DASHED)], "mark": _DASH}
    if drawn & set(_LINED):
        width = {"expr": f"{_IS_LIT} ? 3 : {_FAILS} ? 2.4 : 1.2"}
        mark = {"type": "line", "clip": True, "strokeWidth": width, "opacity": opacity}
        yield {"transform": [_only(*_LINED)], "mark": mark, "encoding": {"tooltip": tooltip}}
    if drawn & set(_DOTTED):
        yield from _dots(panel, opacity, is_crowded=is_crowded)
        target: Spec = {"type": "point", "size": 110, "fill": "transparent", "strokeWidth": 0}
        encoding = {"tooltip": tooltip, "color": None}
        yield {"transform": [_only(*_DOTTED)], "mark": target, "encoding": encoding}
    if zooms:
        yield {"params": [_ZOOM], "mark": {"type": "point", "opacity": 0}}
    yield from _names(middle)


def _slopes() -> Iterator[Spec]:
    """The interval of a slope as a band, and the slope that is right, through the middle."""

    def line(slope: str) -> Spec:
        through = f"datum.my + datum.{slope} * (datum.x - datum.mx)"
        return {"calculate": through, "as": f"{slope}_y"}

    yield {
        "transform": [
            {"filter": f"isValid(datum.slow) && {_NAMED}"},
            line("slow"),
            line("shigh"),
        ],
        "mark": {"type": "area", "opacity": 0.18, "clip": True, "line": False},
        "encoding": _between("slow_y", "shigh_y"),
    }
    yield {
        "transform": [{"filter": f"isValid(datum.expected) && {_NAMED}"}, line("expected")],
        "mark": _DASH,
        "encoding": _y("expected_y"),
    }


def _dots(panel: Plot, opacity: Spec, *, is_crowded: bool) -> Iterator[Spec]:
    """Error bars, and dots whose shape is the verdict."""
    if any(point.low is not None for each in panel.series for point in each.points):
        yield {
            "transform": [_only(*_DOTTED), {"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "clip": True, "strokeWidth": 1.2, "opacity": opacity},
            "encoding": _between("low", "high"),
        }
    chosen = [_only(*_DOTTED)]
    if is_crowded:
        told = f"datum.draw === '{Draw.DOTS}' || datum.verdict !== '{Verdict.PASS}' || {_IS_LIT}"
        chosen.append({"filter": told})
    shapes = {**{str(verdict): shape for verdict, shape in theme.SHAPES.items()}, "": "circle"}
    size = {"expr": f"{_FAILS} || {_IS_LIT} ? 40 : 24"}
    yield {
        "transform": chosen,
        "mark": {"type": "point", "filled": True, "clip": True, "opacity": opacity, "size": size},
        "encoding": {
            "shape": {
                "field": "verdict",
                "type": "nominal",
                "scale": {"domain": list(shapes), "range": list(shapes.values())},
                "legend": None,
            }
        },
    }


def _names(middle: float) -> Iterator[Spec]:
    """Beside the last point, on a halo of the ground."""
    halo = {"stroke": theme.GROUND.expr, "strokeWidth": 3, "strokeJoin": "round"}
    for outline in (halo, {}):
        yield {
            "transform": [{"filter": f"datum.end === 1 && {_NAMED}"}],
            "mark": {
                "type": "text",
                "align": {"expr": f"datum.x < {middle:.6g} ? 'left' : 'right'"},
                "baseline": "bottom",
                "dy": -4,
                "fontWeight": 600,
                "limit": 170,
                **outline,
            },
            "encoding": {"text": {"field": "name"}},
        }


def _tooltip(panel: Plot) -> list[Spec]:
    judged = any(each.finding for each in panel.series)
    return [
        {"field": "name", "title": " "},
        {"field": "x_text", "title": panel.x.title},
        {"field": "y_text", "title": panel.y.title},
        *([{"field": "verdict", "title": "verdict"}] if judged else []),
    ]


def _only(*draws: Draw) -> Spec:
    return {"filter": {"field": "draw", "oneOf": [str(draw) for draw in draws]}}


def _y(field: str) -> Spec:
    return {"y": {"field": field, "type": "quantitative"}}


def _between(low: str, high: str) -> Spec:
    return {**_y(low), "y2": {"field": high}}
