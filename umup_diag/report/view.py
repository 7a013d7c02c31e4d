"""How the results of one check are shown: what a check gives the renderers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from umup_diag.checks.result import Result
from umup_diag.report.answer import Answer, plain
from umup_diag.report.chart import Chart

if TYPE_CHECKING:
    from rich.console import RenderableType

Column = Callable[[Any], str]  #: from a finding to a cell's text


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the results of one check are shown.

    Attributes:
        table: the terminal's answer: a result, and whether to list every finding by itself.
        columns: heading → cell, of the page's table; the first names the tensor, and what is empty
            in every row is left out.
        answer: what the page says first.
        charts: what is drawn, for the page and as pictures.
        stems: patterns of the pictures' file stems, by which an earlier report's are found.
        filters: headings of columns with few different cells, to filter the table by.
        sort_keys: heading → number to sort by, where a cell's text does not begin with it.
    """

    table: "Callable[[Result, bool], RenderableType]"
    columns: Mapping[str, Column]
    answer: Callable[[Result], Answer] = plain
    charts: Callable[[Result], Sequence[Chart]] = lambda _: ()
    stems: tuple[str, ...] = ()
    filters: tuple[str, ...] = ("kind", "verdict")
    sort_keys: Mapping[str, Callable[[Any], float]] = field(default_factory=dict)
