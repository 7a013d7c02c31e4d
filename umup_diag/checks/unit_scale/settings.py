"""What a unit-scale check can be asked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from umup_diag.checks.unit_scale.exceptions import EXCEPTIONS, ScaleException
from umup_diag.settings import shared
from umup_diag.settings.option import Option, Where, option
from umup_diag.settings.shared import RunSettings
from umup_diag.settings.values import WIDTH_LIST

#: Half an octave: rounding any accepted RMS to the nearest power of two gives the expected one
#: (docs/unit_scale.md).
TOLERANCE = Option(
    help="Factor either way of the expected RMS.",
    default=round(sqrt(2), 6),
    at_least=1,
    is_open=True,
)


@dataclass(frozen=True, kw_only=True)
class UnitScaleSettings(RunSettings):
    """Widths, seeds and batches at init, and how far an RMS may be from what is expected."""

    model: str = shared.MODEL.field()
    width: tuple[int, ...] = option("One, or several: 128,512.", default="256", type=WIDTH_LIST)
    seeds: int = shared.SEEDS.field(help="Models at each width; the intervals come from them.")
    batches: int = option("Batches through each model.", default=2, at_least=1)
    batch_size: int = shared.BATCH_SIZE.field(default=32)
    seq_len: int = shared.SEQ_LEN.field(
        default=8,
        at_least=2,
        help="Tokens in a sequence: few, for attention makes positions alike, layer by layer.",
    )
    tolerance: float = TOLERANCE.field()
    build: Mapping[str, Any] = shared.BUILD.field()
    exceptions: tuple[ScaleException, ...] = option(
        "Ranges that you accept, and why.", default=(), type=EXCEPTIONS, where=Where.PLAN
    )

    def encode(self) -> dict[str, Any]:
        """As recordings and results keep it: exceptions are tables."""
        return super().encode() | {"exceptions": [asdict(each) for each in self.exceptions]}
