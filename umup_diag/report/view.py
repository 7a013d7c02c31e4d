"""How the results of one check are shown: what a check gives the renderers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from umup_diag.checks.result import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

Column = Callable[[Any], str]  #: from a finding to a cell's text


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the results of one check are shown.

    Attributes:
        table: the terminal's answer: a result, and whether to list every finding by itself.
        columns: heading → cell, of the page's table.
        figures: draws a result: file stem → PNG.
        stems: patterns of these file stems, by which an earlier report's are found.
        caption: what to read in the figures.
    """

    table: "Callable[[Result, bool], RenderableType]"
    columns: Mapping[str, Column]
    figures: Callable[[Result], Mapping[str, bytes]]
    stems: tuple[str, ...]
    caption: str
