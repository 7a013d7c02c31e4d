"""Colours, light and dark, and how axes and text look.

A specification has a signal `dark`, and every colour depends on it: a page turns dark, or light for
paper, by setting it, without being drawn anew. Each colour has a contrast of 3 or more against its
ground (WCAG 1.4.11), and none of the pairs that a verdict rests on is red beside green.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Chart, HeatMap, Plot

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour on a light and on a dark ground."""

    light: str
    dark: str

    @property
    def expr(self) -> Spec:
        """As a value of a specification."""
        return {"expr": self.code}

    @property
    def code(self) -> str:
        """As a Vega expression."""
        return f"(dark ? '{self.dark}' : '{self.light}')"


GROUND = Colour("#ffffff", "#161b22")
INK = Colour("#1f2328", "#e6edf3")
MUTED = Colour("#59636e", "#9aa4af")
GRID = Colour("#e4e7eb", "#2b323b")
SHADE = Colour("#6e7781", "#8b949e")  #: what is accepted, in a thin wash

VERDICTS: Mapping[Verdict, Colour] = {
    Verdict.PASS: Colour("#0b6bb8", "#58a6ff"),
    Verdict.INCONCLUSIVE: Colour("#8a6100", "#e3b341"),
    Verdict.FAIL: Colour("#c2261c", "#ff7b72"),
}
#: Shapes too, for those who see no colours and for print.
SHAPES: Mapping[Verdict, str] = {
    Verdict.PASS: "circle",
    Verdict.INCONCLUSIVE: "triangle-up",
    Verdict.FAIL: "square",
}
PALETTE = (
    Colour("#0072b2", "#56b4e9"),
    Colour("#b8500a", "#ff9e5e"),
    Colour("#007a5e", "#3ddbb0"),
    Colour("#a63d8f", "#e58fd4"),
    Colour("#806600", "#e5c74a"),
    Colour("#4b5dce", "#9aa8ff"),
    Colour("#5c5c5c", "#bdbdbd"),
    Colour("#006d77", "#7fd8e8"),
)
#: Ends and middles of shades for values in order: viridis, without what is too pale or too dark.
_SHADES = (
    ("#440154", "#3b528b", "#21818c", "#3a8f47"),
    ("#8f86d8", "#3aa6c9", "#5ec962", "#fde725"),
)
FONT = "system-ui, 'Liberation Sans', Arial, sans-serif"


def colours(chart: Chart) -> dict[str, Colour]:
    """Group → colour, in the order of the legend."""
    groups: list[str] = []
    for panel in chart.panels:
        if not isinstance(panel, HeatMap):
            items = panel.series if isinstance(panel, Plot) else panel.rows
            groups += [item.group for item in items if item.group is not None]
    named = list(dict.fromkeys(groups))
    if chart.ordered:
        return dict(zip(named, shades(len(named)), strict=True))
    free = cycle(PALETTE)
    return {
        name: VERDICTS[chart.colours[name]] if name in chart.colours else next(free)
        for name in named
    }


def shades(count: int) -> list[Colour]:
    """So many colours in order."""
    places = [at / max(1, count - 1) for at in range(count)]
    light, dark = ([_between(stops, at) for at in places] for stops in _SHADES)
    return [Colour(*pair) for pair in zip(light, dark, strict=True)]


def _between(stops: Sequence[str], at: float) -> str:
    place = at * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    ends = [[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops[left : left + 2]]
    mixed = [a + (b - a) * (place - left) for a, b in zip(*ends, strict=True)]
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def colour_scale(groups: Mapping[str, Colour]) -> Spec:
    """The scale of a colour channel; what has no group is drawn in ink."""
    every = {**groups, "": MUTED}
    return {"domain": list(every), "range": [colour.expr for colour in every.values()]}


def legend(groups: Mapping[str, Colour]) -> Spec:
    """The legend of a picture."""
    return {"title": None, "values": list(groups), "symbolOpacity": 1, "symbolType": "circle"}


def config() -> Spec:
    """Of a whole specification."""
    text = {"labelColor": MUTED.expr, "titleColor": INK.expr, "labelFontSize": 11}
    return {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "gridColor": GRID.expr,
            "domain": False,
            "tickColor": GRID.expr,
            "labelLimit": 190,
        },
        "legend": {**text, "titleFontSize": 11},
        "title": {"color": INK.expr, "fontSize": 12, "anchor": "start", "fontWeight": 600},
        "text": {"fontSize": 10},
    }


#: Signals that the page sets: dark ground, the picked tensor, rows that a filter hides.
PARAMS: Sequence[Spec] = (
    {"name": "dark", "value": False},
    {"name": "lit", "value": ""},
    {"name": "hidden", "value": {}},
)
