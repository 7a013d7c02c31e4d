"""Settings of the scale-law check."""

from collections.abc import Mapping
from dataclasses import dataclass

from umup_diag.settings.option import Option, option
from umup_diag.settings.ranges import GRID, Values
from umup_diag.settings.shared import RunSettings

#: One step between neighbouring E4M3 codes, the finest that an 8-bit tensor can tell.
TOLERANCE = Option(
    help="Relative error that a law may have anywhere.", default=0.125, at_least=0, is_open=True
)


@dataclass(frozen=True, kw_only=True)
class ScaleLawSettings(RunSettings):
    """An op, and the parameters to measure it at."""

    op: str = option("Built-in op, or pkg.mod:function.", is_argument=True)
    over: Mapping[str, Values] = option(
        "Parameter values: A..B doubles, A..B:N has N points, or A,B,C. Several may follow.",
        default={},
        metavar="NAME=A..B …",
        type=GRID,
        takes_rest=True,
    )
    inputs: int = option("How many tensors your op takes.", default=1, at_least=1, at_most=64)
    causal: bool = option("For attention.", default=True, has_negation=True)
    relative_error: float | None = option(
        "Wanted standard error of each scale.",
        default=None,
        default_text="set by the op",
        at_least=0,
        at_most=0.5,
        is_open=True,
    )
    tolerance: float = TOLERANCE.field()
