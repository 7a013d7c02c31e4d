"""What the benchmark is made of: a case, its fault, and what a check answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from umup_diag.measure.subject import Subject


class Split(StrEnum):
    """Which part of the benchmark: what a verdict may be tuned on, and what it may not."""

    DEV = "dev"
    HELD_OUT = "held_out"
    UNTOUCHED = "untouched"
    FRESH = "fresh"
    LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong, as known by whoever planted it.

    Attributes:
        tensors: patterns of the tensors at fault, by umup-diag's names.
        causes: cause → the power of width by which it is wrong, so that the fix is width^-power.
            The first is what was planted; any other describes the same function and training.
        also: patterns of other tensors that may be named as rightly.
        invisible: why a short run at small widths cannot see it; empty if it can.
        source: the public issue or pull request that it replays; empty if it is planted.
    """

    tensors: tuple[str, ...]
    causes: Mapping[str, float]
    also: tuple[str, ...] = ()
    invisible: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model under one optimizer, and the truth about it.

    Attributes:
        name: unique; also the attribute of `benchmarks.verdicts` that loads it.
        split: dev or held out.
        family: of models.
        optimizer: in the benchmark's words.
        asked: what to give as ``--optimizer``; None for the subject's own.
        subject: makes it.
        widths: to judge at; all other settings are umup-diag's defaults.
        fault: None if the case is healthy.
        expected: tensor pattern → bounds of its loss change's slope, where it is not flat.
        notes: what a reader should know.
    """

    name: str
    split: Split
    family: str
    optimizer: str
    asked: str | None
    subject: Callable[[], Subject]
    widths: tuple[int, ...]
    fault: Fault | None = None
    expected: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: str = ""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None

    @property
    def command(self) -> str:
        """What a user would type."""
        widths = ",".join(map(str, self.widths))
        optimizer = f" --optimizer {self.asked}" if self.asked else ""
        model = f"--model benchmarks.verdicts:{self.name}"
        return f"umup-diag coordcheck {model} --widths {widths}{optimizer}"
