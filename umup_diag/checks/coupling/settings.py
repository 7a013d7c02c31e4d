"""What a coupling check can be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umup_diag.errors import InputError
from umup_diag.settings.option import option
from umup_diag.settings.ranges import Values, parse_values
from umup_diag.settings.sweep import SweepSettings


@dataclass(frozen=True, slots=True)
class Grids:
    """Hyperparameters with their values; no values stand for those of `resolve`."""

    def parse(self, text: str) -> str:
        """One token, still as text: `convert` reads all of them together."""
        return text

    def convert(self, value: Any) -> dict[str, Values]:
        """From tokens, ``lr`` or ``lr=1/4..4``, or from a table."""
        if isinstance(value, dict):
            tokens = [(name, ",".join(map(str, values))) for name, values in value.items()]
        elif isinstance(value, list | tuple):
            tokens = [(name, values) for name, _, values in (t.partition("=") for t in value)]
        else:
            raise ValueError('write a list, as in hp = ["lr", "alpha_attn_softmax"]')
        found: dict[str, Values] = {}
        try:
            for name, values in tokens:
                if not name.isidentifier():
                    raise ValueError(f"{name!r} is neither NAME nor NAME=A..B.")
                if name in found:
                    raise ValueError(f"{name!r} is named twice.")
                found[name] = parse_values(values) if values else ()
        except InputError as error:
            raise ValueError(str(error)) from None
        return found


@dataclass(frozen=True, kw_only=True)
class CouplingSettings(SweepSettings):
    """Hyperparameters of one model, tuned in pairs, or all of them by two searches."""

    hp: Mapping[str, Values] = option(
        "Hyperparameters, two or more, each NAME or NAME=A..B: lr, weight_decay, or any argument "
        "of build.",
        default={"lr": (), "alpha_attn_softmax": ()},
        default_text="lr alpha_attn_softmax",
        metavar="NAME …",
        type=Grids(),
        takes_rest=True,
    )
    width: int = option("Width to build the model at.", default=64, at_least=1)
    search: bool = option(
        "Compare tuning one by one with random search, in place of grids of pairs.", default=False
    )
    tolerance: float = option(
        "Share of the loss that tuning them apart may lose.", default=0.01, at_least=0, is_open=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.hp) < 2:
            raise InputError("--hp takes two hyperparameters or more, as in lr alpha_attn_softmax.")
