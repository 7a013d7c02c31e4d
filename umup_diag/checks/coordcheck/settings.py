"""What a coord check can be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.settings import shared
from umup_diag.settings.option import option
from umup_diag.settings.shared import RunSettings
from umup_diag.settings.values import WIDTHS


@dataclass(frozen=True, kw_only=True)
class CoordcheckSettings(RunSettings):
    """Widths, seeds and updates; the batch must have far fewer tokens than the smallest width."""

    model: str = shared.MODEL.field()
    widths: tuple[int, ...] = option(
        "128..4096 doubles; 128,192,256 is the list.", default="128..1024", type=WIDTHS
    )
    target: str | None = option(
        "Hold the model to the slopes of sp, ntk, mup, depth_mup or umup.",
        default=None,
        default_text="the model's own target, else mup",
        metavar="SCHEME",
    )
    optimizer: str | None = shared.OPTIMIZER.field()
    lr: float | None = shared.LR.field()
    steps: int = shared.STEPS.field(default=3, help="Updates before changes are measured.")
    seeds: int = shared.SEEDS.field()
    batch_size: int = shared.BATCH_SIZE.field(
        help="Sequences in the batch; its tokens must stay well below the smallest width."
    )
    seq_len: int = shared.SEQ_LEN.field(default=8)
    text: Path | None = shared.TEXT.field()
    build: Mapping[str, Any] = shared.BUILD.field()
