"""What a coord check can be asked."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from umup_diag.errors import InputError
from umup_diag.scaling import schemes
from umup_diag.scaling.schemes import SCHEMES
from umup_diag.settings import shared
from umup_diag.settings.axes import AXES, DEPTH, WIDTH
from umup_diag.settings.option import option, settings_of
from umup_diag.settings.shared import RunSettings
from umup_diag.settings.values import DEPTHS, WIDTHS, Table, Whole

_NAMES = list(SCHEMES)
SCHEME_NAMES = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
AUTO = "auto"
LOOKS = (5, 10, 20, 40)  #: seeds after which `--seeds auto` looks whether the verdict is settled
USUAL_WIDTHS = (128, 256, 512, 1024)  #: where no axis is given
USUAL_WIDTH = 128  #: where other axes are
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
    widths: tuple[int, ...] | None = option(
        "128..4096 doubles; 128,192,256 is the list.",
        default=None,
        default_text="128..1024, where no other axis is given",
        type=WIDTHS,
    )
    depths: tuple[int, ...] | None = option(
        "Depths to build at, written likewise: build(width, depth=…).", default=None, type=DEPTHS
    )
    axis: Mapping[str, tuple[int, ...]] = option(
        "Any other whole number that build takes, written likewise; again for more.",
        default={},
        type=AXES,
        metavar="NAME=A..B",
    )
    width: int | None = option(
        "Width at which the other axes are varied.",
        default=None,
        default_text=f"the smallest of --widths, else {USUAL_WIDTH}",
        at_least=1,
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

    @property
    def axes(self) -> Mapping[str, tuple[int, ...]]:
        """The sizes along each axis, ascending; the axes that `build` takes by name after width."""
        found = dict(self.axis)
        if self.depths is not None:
            found = {DEPTH: self.depths, **found}
        widths = self.widths if self.widths or found else USUAL_WIDTHS
        return {WIDTH: widths, **found} if widths else found

    @property
    def filled_in(self) -> Mapping[str, Any]:
        """What `axes` and `base` say of the settings that were left open.

        Raises:
            InputError: as `base` does.
        """
        axes, held = self.axes, self.base[WIDTH]
        return {"widths": axes.get(WIDTH), "width": held if axes.keys() - {WIDTH} else None}

    @property
    def base(self) -> Mapping[str, int]:
        """Where each axis is held while another one is varied: at its smallest size.

        Raises:
            InputError: if an axis is an argument of `build` as well, or if `width` holds nothing.
        """
        axes = self.axes
        for name in axes:
            if name in self.build:
                raise InputError(f"--build {name} is an axis as well; give it once.")
        if self.width and not axes.keys() - {WIDTH}:
            raise InputError(
                "--width is where other axes are varied; give one, as in --depths 2..64."
            )
        smallest = {name: sizes[0] for name, sizes in axes.items()}
        smallest[WIDTH] = self.width or smallest.get(WIDTH, USUAL_WIDTH)
        return {WIDTH: smallest.pop(WIDTH), **smallest}

    @property
    def places(self) -> list[Mapping[str, int]]:
        """Where models are built: along each axis in turn, from the base on, each place once."""
        base = self.base
        found = [{**base, name: size} for name, sizes in self.axes.items() for size in sizes]
        return [place for at, place in enumerate(found) if place not in found[:at]]

    def runs(self, seeds: int) -> list[tuple[Mapping[str, int], int]]:
        """The runs of so many seeds, as (place, seed), by place.

        The noise of a slope falls with size and a run's cost grows with it: beyond `FULL_SPAN`
        times the smallest the seeds fall like 1/size, to `FEWEST`.
        """
        full = {name: FULL_SPAN * sizes[0] for name, sizes in self.axes.items()}
        found = []
        for place in self.places:
            kept = min(seeds * most // max(place[name], most) for name, most in full.items())
            found += [(place, seed) for seed in range(min(seeds, max(FEWEST, kept)))]
        return found

    def points(self, seeds: int) -> list[tuple[int, int]]:
        """The same, as (width, seed)."""
        return [(place[WIDTH], seed) for place, seed in self.runs(seeds)]

    @property
    def command_line(self) -> str:
        """The options that differ from the defaults, as they would be typed; not the device."""
        usual = replace(type(self)(), widths=USUAL_WIDTHS)
        words = []
        for setting in settings_of(type(self)):
            value = getattr(self, setting.name)
            is_usual = value is None or value == getattr(usual, setting.name)
            if is_usual or setting.name == "device":
                continue
            if isinstance(setting.type, Table):
                entries = setting.type.words(value)
                words += [f"{setting.flag} {shlex.quote(entry)}" for entry in entries]
                continue
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [setting.flag] if value is True else [setting.flag, shlex.quote(text)]
        return " ".join(words)
