"""What a transfer check can be asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from umup_diag.errors import InputError
from umup_diag.settings.option import option
from umup_diag.settings.ranges import GRID, Values
from umup_diag.settings.span import SPAN, Span
from umup_diag.settings.sweep import SweepSettings

LR = "lr"


@dataclass(frozen=True, kw_only=True)
class TransferSettings(SweepSettings):
    """A hyperparameter to look for the optimum of, and the sizes to look at."""

    over: Mapping[str, Values] = option(
        "Axis to grow: width=64..256, depth=2..16, batch_size, steps, seq_len, or any argument "
        "of build; a name with one value is held at it. Several may follow.",
        default={"width": (64, 128, 256)},
        default_text="width=64..256",
        metavar="NAME=A..B …",
        type=GRID,
        takes_rest=True,
    )
    hp: str = option(
        "Hyperparameter to tune: lr, weight_decay, or any argument of build.",
        default=LR,
        metavar="NAME",
    )
    values: Span | None = option(
        "Where to look for its optimum first; the search goes beyond where it must.",
        default=None,
        default_text="for lr by the model, else 1/8..8",
        metavar="A..B",
        type=SPAN,
    )
    lr: Span | None = option(
        "Learning rate: a range to look for its optimum in, or one value to tune others at.",
        default=None,
        default_text="by the model",
        metavar="A..B",
        type=SPAN,
    )
    tolerance: float = option(
        "Share of the loss at the largest size that a drift may give up.",
        default=0.01,
        at_least=0,
        is_open=True,
    )
    extrapolate_to: int | None = option(
        "Size to extrapolate the optimum to.",
        default=None,
        default_text="8 times the largest",
        at_least=1,
    )

    @property
    def axis(self) -> str:
        """The axis that grows.

        Raises:
            InputError: unless there is exactly one.
        """
        growing = [name for name, values in self.over.items() if len(values) > 1]
        if len(growing) != 1:
            named = " and ".join(growing) or "no axis"
            raise InputError(
                f"--over: {named} would grow; give one axis two values or more, as in "
                "width=64..256, and any other one value."
            )
        return growing[0]

    @property
    def sizes(self) -> Values:
        """The values of the axis, ascending."""
        return tuple(sorted(self.over[self.axis]))

    @property
    def held(self) -> Mapping[str, float]:
        """The axes that do not grow."""
        return {name: values[0] for name, values in self.over.items() if len(values) == 1}

    @property
    def target(self) -> float:
        """Size to extrapolate to."""
        return self.extrapolate_to or 8 * self.sizes[-1]
