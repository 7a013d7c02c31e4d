"""Charts as data: what is drawn, for the page, for PNG and for SVG alike.

A check gives `Chart` values and draws nothing; `umup_diag.report.vega` turns them into Vega-Lite.
A chart is one or more panels side by side, of three sorts:

- `Plot`: series over two axes: lines, dots with error bars, bands, and limits across;
- `Spans`: a bar for each row, from one value to another, with a tick where most of it lies;
- `HeatMap`: a coloured cell for each row and column, for values that have a middle.

What belongs to a finding says so (``finding=``): its verdict then decides shape and weight (what
fails is drawn last, thick and labelled), and it is linked with the finding's row of the table.

>>> Plot(
...     title="loss against learning rate",
...     alt="Loss against learning rate at three widths; the lowest is at 2^-8 in each.",
...     x=Axis("learning rate", log2=True),
...     y=Axis("loss"),
...     series=[
...         Series("width 128", points=[Point(2**-9, 2.1, 2.0, 2.2), Point(2**-8, 1.9)]),
...         Series("fitted", points=[Point(2**-9, 2.0), Point(2**-8, 1.9)], draw=Draw.DASHED),
...     ],
... ).title
'loss against learning rate'
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from umup_diag.checks.result import Finding, Verdict


class Draw(StrEnum):
    """How the points of a series are drawn; error bars come with dots."""

    LINE = "line"
    DOTS = "dots"
    LINE_AND_DOTS = "line_and_dots"
    DASHED = "dashed"  #: a line that is no measurement: a law, an expectation
    BAND = "band"  #: the area between the points' ends


class Point(NamedTuple):
    """A point, in the units of the axes, and the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        title: with the unit.
        log2: whether it is logarithmic, labelled in powers of two.
        ticks: where labels stand, and the labels; None leaves it to the library.
        least: extent that is shown at least (octaves, if `log2`), so that what is flat looks flat.
        percent: whether values are shares, labelled in percent.
    """

    title: str
    log2: bool = False
    ticks: Mapping[float, str] | None = None
    least: float = 0.0
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Slope:
    """Straight lines through the middle of a series, in the (logarithmic) axes' coordinates.

    Attributes:
        expected: slope that is right, drawn dashed; None draws none.
        interval: of the measured slope, drawn as a band.
    """

    expected: float | None
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        name: shown when it is pointed at, and beside it where it fails.
        points: in any order.
        draw: how.
        group: gives its colour, and is named in the legend; None where it needs no name.
        finding: that it shows.
        slope: that it should have and has; drawn where it fails and where it is picked.
    """

    name: str
    points: Sequence[Point]
    draw: Draw = Draw.LINE_AND_DOTS
    group: str | None = None
    finding: Finding | None = None
    slope: Slope | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across, or with `until` an area: a value that means something.

    Attributes:
        at: where, on the y axis of a `Plot`, on the x axis of `Spans`.
        label: short.
        until: the other end of an area; None for a line.
        is_bad: whether the area is where trouble is.
    """

    at: float
    label: str = ""
    until: float | None = None
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Series over two axes.

    Attributes:
        title: of the panel.
        alt: what a reader who cannot see it should know: what is drawn, and what it shows.
        x: axis.
        y: axis.
        series: in the order of the legend.
        limits: across.
        height: in pixels.
    """

    title: str
    alt: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    limits: Sequence[Limit] = ()
    height: int = 220


@dataclass(frozen=True, slots=True)
class Span:
    """One row of `Spans`.

    Attributes:
        name: of the row.
        low: left end.
        high: right end.
        ticks: marked inside.
        group: gives its colour.
        finding: that it shows.
    """

    name: str
    low: float
    high: float
    ticks: Sequence[float]
    group: str | None = None
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """A bar for each row.

    Attributes:
        title: of the panel.
        alt: as in `Plot`.
        x: axis.
        rows: from the top.
        limits: across.
        tick_name: what the ticks are.
    """

    title: str
    alt: str
    x: Axis
    rows: Sequence[Span]
    limits: Sequence[Limit] = ()
    tick_name: str = ""


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One row of a `HeatMap`.

    Attributes:
        name: of the row.
        values: one a column; None where there is nothing.
        finding: that it shows.
        marks: column → a character to mark it with, instead of the cross of what is below zero.
    """

    name: str
    values: Sequence[float | None]
    finding: Finding | None = None
    marks: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A coloured cell for each row and column; below zero is red and marked, above is blue.

    Attributes:
        title: of the panel.
        alt: as in `Plot`.
        columns: their labels, from the left.
        column_title: what they are.
        rows: from the top.
        value_title: what a value is, with its unit.
        reach: values this far from zero have the full colour, either way.
    """

    title: str
    alt: str
    columns: Sequence[str]
    column_title: str
    rows: Sequence[HeatRow]
    value_title: str
    reach: float


Panel = Plot | Spans | HeatMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Panels that are read together.

    Attributes:
        stem: name of its picture files, without suffix.
        title: a heading.
        caption: how to read it.
        panels: from the left.
        ordered: whether groups are values in order, with shades of one colour.
        columns: panels in a row of the picture.
        colours: group → a verdict, for groups that mean one; other groups take colours in turn.
    """

    stem: str
    title: str
    caption: str
    panels: Sequence[Panel]
    ordered: bool = False
    columns: int = 3
    colours: Mapping[str, Verdict] = field(default_factory=dict)
