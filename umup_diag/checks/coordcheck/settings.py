"""What a coord check can be asked."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.scaling import schemes
from umup_diag.scaling.schemes import SCHEMES
from umup_diag.settings import shared
from umup_diag.settings.option import option, settings_of
from umup_diag.settings.shared import RunSettings
from umup_diag.settings.values import WIDTHS, Table, Whole

_NAMES = list(SCHEMES)
SCHEME_NAMES = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
AUTO = "auto"
LOOKS = (5, 10, 20, 40)  #: seeds after which `--seeds auto` looks whether the verdict is settled
FULL_SPAN = 8  #: widths beyond so many times the narrowest get fewer seeds
FEWEST = 2  #: seeds at any width, of those asked for


@dataclass(frozen=True, slots=True)
class SeedCount:
    """A whole number, or `AUTO`."""

    name: str = "N|auto"

    def parse(self, text: str) -> int | str:
        """Of digits, or the word."""
        if text == AUTO:
            return AUTO
        if not text.isdecimal():
            raise ValueError(f"{text!r} is neither a number of seeds nor {AUTO}.")
        return self.convert(int(text))

    def convert(self, value: Any) -> int | str:
        """From TOML or Python."""
        return AUTO if value == AUTO else Whole(at_least=1).convert(value)


@dataclass(frozen=True, kw_only=True)
class CoordcheckSettings(RunSettings):
    """Widths, seeds and updates; the batch must have far fewer tokens than the smallest width."""

    model: str = shared.MODEL.field()
    widths: tuple[int, ...] = option(
        "128..4096 doubles; 128,192,256 is the list.", default="128..1024", type=WIDTHS
    )
    target: str | None = option(
        f"Hold the model to the slopes of {SCHEME_NAMES}.",
        default=None,
        default_text="the model's own target, else mup",
        metavar="SCHEME",
        precheck=schemes.get,
    )
    optimizer: str | None = shared.OPTIMIZER.field()
    lr: float | None = shared.LR.field()
    weight_decay: float | None = shared.WEIGHT_DECAY.field()
    steps: int = shared.STEPS.field(default=3, help="Updates before changes are measured.")
    seeds: int | str = shared.SEEDS.field(
        type=SeedCount(),
        help="Runs at each width, from which the intervals come; auto: as many as the verdict "
        f"takes, up to {LOOKS[-1]}.",
    )
    batch_size: int = shared.BATCH_SIZE.field(
        help="Sequences in the batch; its tokens must stay well below the smallest width."
    )
    seq_len: int = shared.SEQ_LEN.field(default=8)
    text: Path | None = shared.TEXT.field()
    build: Mapping[str, Any] = shared.BUILD.field()

    spectral: bool = option(
        "Measure and judge the operator norms of weights and updates too.", default=False
    )
    verify_fix: bool = option(
        "Apply the fixes to rates and initial weights, from outside, and judge again.",
        default=False,
    )

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which the runs may end; the last ends them."""
        return LOOKS if isinstance(self.seeds, str) else (self.seeds,)

    def points(self, seeds: int) -> list[tuple[int, int]]:
        """The runs of so many seeds, as (width, seed), by width.

        The noise of a slope falls with width and a run's cost grows with its square: beyond
        `FULL_SPAN` times the narrowest width the seeds fall like 1/width, to `FEWEST`.
        """
        full = FULL_SPAN * min(self.widths)
        return [
            (width, seed)
            for width in self.widths
            for seed in range(min(seeds, max(FEWEST, seeds * full // max(width, full))))
        ]

    @property
    def command_line(self) -> str:
        """The options that differ from the defaults, as they would be typed; not the device."""
        usual = type(self)()
        words = []
        for setting in settings_of(type(self)):
            value = getattr(self, setting.name)
            is_usual = value is None or value == getattr(usual, setting.name)
            if is_usual or setting.name == "device":
                continue
            if isinstance(value, dict):
                words += [f"{setting.flag} {shlex.quote(entry)}" for entry in Table.words(value)]
                continue
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [setting.flag] if value is True else [setting.flag, shlex.quote(text)]
        return " ".join(words)
