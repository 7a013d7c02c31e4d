"""Settings of the scale-law check."""

from collections.abc import Mapping
from dataclasses import dataclass

from umup_diag.errors import InputError
from umup_diag.settings import precheck
from umup_diag.settings.nearest import nearest
from umup_diag.settings.option import Option, option
from umup_diag.settings.ranges import GRID, Values
from umup_diag.settings.shared import RunSettings

#: One step between neighbouring E4M3 codes, the finest that an 8-bit tensor can tell.
TOLERANCE = Option(
    help="Relative error that a law may have anywhere.", default=0.125, at_least=0, is_open=True
)
#: The ops that need no module; `umup_diag.measure.monte_carlo.builtin_ops` has what they do.
OPS = (
    *("attention", "full-attention", "gated-silu", "silu", "gelu", "relu"),
    *("softmax", "cross-entropy"),
)


def _precheck_op(op: str) -> None:
    if ":" in op:
        if op.partition(":")[0].endswith(".py"):
            raise ValueError(f"{op}: name the module as it is imported, without .py.")
        precheck.import_path(op)
    elif op not in OPS:
        raise ValueError(
            f"there is no op {op!r}{nearest(op, OPS) or '.'} "
            f"Give pkg.mod:function, or one of {', '.join(sorted(OPS))}."
        )


@dataclass(frozen=True, kw_only=True)
class ScaleLawSettings(RunSettings):
    """An op, and the parameters to measure it at."""

    op: str = option("Built-in op, or pkg.mod:function.", is_argument=True, precheck=_precheck_op)
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

    def precheck(self) -> None:
        """As every group; and refuse an option that the op has no use for."""
        super().precheck()
        if not self.causal and self.op not in ("attention", "full-attention"):
            raise InputError(f"--no-causal is for attention; {self.op} has no mask. Leave it out.")
