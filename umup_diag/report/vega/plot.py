"""`Plot` as Vega-Lite: layers over one table of points, which is joined with one of series."""

from collections.abc import Iterator, Mapping, Sequence

from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Plot, Series
from umup_diag.report.vega import data, marks, theme
from umup_diag.report.vega.theme import Colour, Spec

_LABELS, _LABEL_HEIGHT = 4, 14  # beside failing series, and the room that one needs, in pixels
_FAR = 60.0  # octaves: how far down an interval is drawn that reaches zero


#: A point's place on both axes, and of the ends of its interval.
Placed = tuple[float, float, float | None, float | None]


def plot(panel: Plot, groups: Mapping[str, Colour], rows: data.Rows, *, on_page: bool) -> Spec:
    """A panel.

    Args:
        panel: to draw.
        groups: colours.
        rows: of the table.
        on_page: whether it can be zoomed, and has its legend beside it.
    """
    series = sorted(panel.series, key=_weight)  # what fails is drawn last
    named = [each.group for each in series]
    x_domain, y_domain = _domains(panel)
    encoding: Spec = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "axis": {**data.axis(panel.x), "grid": False},
            "scale": {"domain": x_domain, "nice": False, "zero": False},
        },
        "y": {
            "field": "y",
            "type": "quantitative",
            "axis": {**data.axis(panel.y), "tickCount": max(3, panel.height // 36)},
            "scale": {"domain": y_domain, "nice": False, "zero": False},
        },
        "color": {
            "field": "group",
            "type": "nominal",
            "scale": theme.colour_scale(groups),
            "legend": None if on_page or not any(named) else theme.legend(groups),
        },
        "detail": {"field": "s", "type": "nominal"},
    }
    return {
        **_points(panel, series, rows),
        "title": panel.title,
        "description": panel.alt,
        "height": panel.height,
        "encoding": encoding,
        "layer": [
            *(layer for limit in panel.limits for layer in marks.limit(limit, panel)),
            *marks.layers(panel, middle=sum(x_domain) / 2, zooms=on_page),
        ],
    }


def _weight(series: Series) -> int:
    return -series.finding.verdict.severity if series.finding else -1 - Verdict.FAIL.severity


def _points(panel: Plot, series: Sequence[Series], rows: data.Rows) -> Spec:
    """All points in one table, joined with the table of series."""
    points, about = [], []
    labels = _labels(panel, series)
    for number, each in enumerate(series):
        placed = sorted(_placed(each, panel))
        row, tensor, verdict = data.link(each, each.finding, rows)
        points += [(number, *point, int(at == len(placed) - 1)) for at, point in enumerate(placed)]
        middle = [
            sum(at) / max(1, len(at)) for at in ([p[0] for p in placed], [p[1] for p in placed])
        ]
        slope = each.slope
        slopes = (slope.expected, *slope.interval) if slope else (None, None, None)
        words = (tensor, verdict, each.name, each.group or "", str(each.draw))
        about.append((number, row, *words, labels.get(number, ""), *middle, *slopes))
    fields = ("row", "tensor", "verdict", "name", "group", "draw", "label")
    numbers = ("mx", "my", "expected", "slow", "shigh")
    columns = {"s": "number", **dict.fromkeys(fields, "string"), **dict.fromkeys(numbers, "number")}
    return {
        "data": data.table(dict.fromkeys(("s", "x", "y", "low", "high", "end"), "number"), points),
        "transform": [
            {
                "lookup": "s",
                "from": {
                    "data": data.table(columns, about),
                    "key": "s",
                    "fields": [*fields, *numbers],
                },
            },
            # A table that is looked up in stays text, whatever its columns are declared as.
            *({"calculate": f"toNumber(datum.{name})", "as": name} for name in numbers),
            {"filter": "!hidden[datum.row]"},
            {"calculate": data.number(panel.x, "x"), "as": "x_text"},
            {"calculate": data.number(panel.y, "y"), "as": "y_text"},
        ],
    }


def _placed(series: Series, panel: Plot) -> Iterator[Placed]:
    for point in series.points:
        x, y = data.place(point.x, panel.x), data.place(point.y, panel.y)
        if x is None or y is None:
            continue
        low, high = (data.place(end, panel.y) for end in (point.low, point.high))
        if point.low is not None and low is None:
            low = y - _FAR if panel.y.log2 else y
        yield x, y, low, high


def _domains(panel: Plot) -> tuple[list[float], list[float]]:
    placed = [point for each in panel.series for point in _placed(each, panel)]
    xs = [x for x, *_ in placed] or [0.0, 1.0]
    ys = [y for _, y, *_ in placed] or [0.0, 1.0]
    lowest, highest = min(ys), max(ys)
    reach = max(highest - lowest, 1.0)  # an interval may not squeeze the points together
    for _, y, low, high in placed:
        lowest = min(lowest, max(y if low is None else low, lowest - reach))
        highest = max(highest, min(y if high is None else high, highest + reach))
    for limit in panel.limits:
        ends = [data.place(end, panel.y) for end in (limit.at, limit.until)]
        lowest = min([lowest, *(end for end in ends if end is not None)])
        highest = max([highest, *(end for end in ends if end is not None)])
    middle = (lowest + highest) / 2
    half = max(highest - lowest, panel.y.least, 1e-12) / 2 * 1.08
    named = [limit.at for limit in panel.limits if limit.label]
    fails = any(each.finding and each.finding.verdict is Verdict.FAIL for each in panel.series)
    if fails or highest in [data.place(at, panel.y) for at in named]:
        highest += 2 * half * _LABEL_HEIGHT / panel.height  # room for a label above what is topmost
        middle, half = (lowest + highest) / 2, max(half, (highest - lowest) / 2 * 1.04)
    pad = 0.04 * (max(xs) - min(xs)) or 0.5
    return [min(xs) - pad, max(xs) + pad], [middle - half, middle + half]


def _labels(panel: Plot, series: Sequence[Series]) -> dict[int, str]:
    """Names beside the ends of failing series, as many as there is room for."""
    low, high = _domains(panel)[1]
    apart = (high - low) * _LABEL_HEIGHT / panel.height
    taken: list[float] = []
    labels: dict[int, str] = {}
    failing = [
        (number, each)
        for number, each in enumerate(series)
        if each.finding and each.finding.verdict is Verdict.FAIL
    ]
    for number, each in failing:
        ends = sorted(_placed(each, panel))[-1:]
        if ends and len(labels) < _LABELS and all(abs(ends[0][1] - at) > apart for at in taken):
            taken.append(ends[0][1])
            labels[number] = shortened(each.name)
    return labels


def shortened(name: str, length: int = 28) -> str:
    """A long name by its end, which says most."""
    return name if len(name) <= length else "…" + name[1 - length :]
