"""`HeatMap` as Vega-Lite: coloured cells, marked where they are below zero or say so."""

from umup_diag.report.chart import HeatMap, HeatRow
from umup_diag.report.vega import data, theme
from umup_diag.report.vega.plot import shortened
from umup_diag.report.vega.theme import Colour, Spec

#: From none to plenty: red, the ground, blue; both ends as strong as each other.
ENDS = (Colour("#b2182b", "#ff7b72"), Colour("#f3f4f6", "#21262d"), Colour("#2166ac", "#58a6ff"))
_TALLEST, _LOWEST, _WHOLE = 14, 3, 720  # pixels: of a row, of a row, of all rows


def heat_map(panel: HeatMap, rows: data.Rows) -> Spec:
    """A panel; values travel as one line a row, and are unfolded where they are drawn."""
    step = max(_LOWEST, min(_TALLEST, _WHOLE // max(1, len(panel.rows))))
    numbers = [f"v{at}" for at in range(len(panel.columns))]
    columns = {
        "at": "number",
        **dict.fromkeys(("row", "tensor", "verdict", "name", "marks"), "string"),
        **dict.fromkeys(numbers, "number"),
    }
    cells = [
        (at, *data.link(row, row.finding, rows), row.name, _marks(row), *row.values)
        for at, row in enumerate(panel.rows)
    ]
    names = {str(at): shortened(row.name, 34) for at, row in enumerate(panel.rows)}
    labels = dict(zip(numbers, panel.columns, strict=True))
    place = {
        "x": {
            "field": "column",
            "type": "ordinal",
            "sort": None,
            "axis": {
                "title": panel.column_title,
                "labelExpr": f"({labels})[datum.value]",
                "labelOverlap": "greedy",
                "labelAngle": 0,
                "ticks": False,
            },
        },
        "y": {
            "field": "at",
            "type": "ordinal",
            "axis": {
                "title": None,
                "labelExpr": f"({names})[datum.value]",
                "labelOverlap": "greedy",
                "labelLimit": 230,
                "ticks": False,
            },
        },
    }
    return {
        "title": panel.title,
        "description": panel.alt,
        "height": step * max(1, len(panel.rows)),
        "data": data.table(columns, cells),
        "transform": [
            {"filter": "!hidden[datum.row]"},
            {"fold": numbers, "as": ["column", "value"]},
            {"filter": "isValid(datum.value)"},
            {"calculate": f"({labels})[datum.column]", "as": "column_name"},
            {"calculate": "format(datum.value, '+.1f')", "as": "value_text"},
            {"calculate": "datum.marks[toNumber(slice(datum.column, 1))]", "as": "mark"},
        ],
        "encoding": place,
        "layer": [
            {
                "mark": {
                    "type": "rect",
                    "opacity": {
                        "expr": "lit === '' || datum.tensor === lit ? 1 : 0.25",
                    },
                },
                "encoding": {
                    "color": {
                        "field": "value",
                        "type": "quantitative",
                        "scale": {
                            "domain": [-panel.reach, 0, panel.reach],
                            "range": [end.expr for end in ENDS],
                            "clamp": True,
                            "interpolate": "rgb",  # the default goes by way of purple
                        },
                        "legend": {
                            "title": panel.value_title,
                            "orient": "top",
                            "gradientLength": 150,
                            "gradientThickness": 8,
                        },
                    },
                    "tooltip": [
                        {"field": "name", "title": " "},
                        {"field": "column_name", "title": panel.column_title},
                        {"field": "value_text", "title": panel.value_title},
                    ],
                },
            },
            *(
                [
                    {
                        "transform": [{"filter": "datum.mark !== ' '"}],
                        "mark": {
                            "type": "text",
                            "text": {"expr": "datum.mark"},
                            "color": theme.INK.expr,
                            "fontSize": min(10, step),
                            "tooltip": False,
                        },
                    }
                ]
                if step >= 6
                else []
            ),
        ],
    }


def _marks(row: HeatRow) -> str:
    """A character a column: the row's own, else a cross below zero, else a space."""
    return "".join(
        row.marks.get(at, "×" if value is not None and value < 0 else " ")
        for at, value in enumerate(row.values)
    )
