"""What an audit can be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.scaling.schemes import SCHEMES
from umup_diag.scaling.weight_decay import WEIGHT_DECAYS
from umup_diag.settings import shared
from umup_diag.settings.option import option
from umup_diag.settings.shared import RunSettings
from umup_diag.settings.values import WIDTHS


@dataclass(frozen=True, kw_only=True)
class AuditSettings(RunSettings):
    """The width of interest, and the small models that powers of width come from."""

    model: str = shared.MODEL.field()
    width: int = option("Width of interest; its model takes no memory.", default=4096, at_least=1)
    widths: tuple[int, ...] = option(
        "Of the small models that powers of width come from; as 128..512 or 128,192.",
        default="128..512",
        type=WIDTHS,
    )
    base_width: int | None = option(
        "Show what each number is a multiple of at that width.",
        default=None,
        default_text="show powers of width",
        at_least=1,
    )
    target: str | None = option(
        f"Hold the model to the row of {', '.join(SCHEMES)}.",
        default=None,
        default_text="the model's own target, else mup",
        metavar="SCHEME",
    )
    which_scheme: bool = option(
        "Say which schemes the model is nearest to, and hold it to the nearest.", default=False
    )
    decay_rule: str | None = option(
        f"What lr·λ is held to: {', '.join(WEIGHT_DECAYS)}.",
        default=None,
        default_text="the target's own rule",
        metavar="RULE",
    )
    optimizer: str | None = shared.OPTIMIZER.field()
    lr: float | None = shared.LR.field()
    weight_decay: float | None = shared.WEIGHT_DECAY.field()
    seeds: int = shared.SEEDS.field(default=3, help="Small models at each width.")
    batch_size: int = shared.BATCH_SIZE.field()
    seq_len: int = shared.SEQ_LEN.field(default=8)
    text: Path | None = shared.TEXT.field()
    build: Mapping[str, Any] = shared.BUILD.field()
