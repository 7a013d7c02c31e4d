"""What an audit finds of one parameter."""

from dataclasses import dataclass
from math import isinf

from umup_diag.checks.result import Finding
from umup_diag.report.style import number, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFinding(Finding):
    """A power of width, held to that of a scheme's row.

    Attributes:
        role: of the parameter.
        order: place in the model.
        quantity: what goes with width, in words.
        power: of width.
        interval: its 95 % interval; of no length for what is no draw of random numbers.
        expected: the row's.
        accepted: range that the interval must lie in.
        value: at the width of interest.
    """

    role: str
    order: int
    quantity: str
    power: float
    interval: tuple[float, float]
    expected: float
    accepted: tuple[float, float]
    value: float

    @property
    def measured(self) -> str:
        """The power, and what was expected."""
        wanted = f"≤ {signed(self.expected)}" if isinf(self.accepted[0]) else signed(self.expected)
        return f"{self.quantity} goes as width^{signed(self.power)}, expected {wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingFinding(Finding):
    """A setting that is right or wrong by itself.

    Attributes:
        role: of the parameter.
        order: place in the model.
        told: what it is, in words.
        value: of the setting.
        limit: that it is held to.
    """

    role: str
    order: int
    told: str
    value: float
    limit: float

    @property
    def measured(self) -> str:
        """What it is."""
        return self.told


AuditFinding = PowerFinding | SettingFinding


def amount(value: float | None) -> str:
    """Three digits, or a dash for what there is none of."""
    return "—" if value is None else number(value)
