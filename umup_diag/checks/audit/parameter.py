"""One parameter of an audited model, with the powers that no move of a factor changes."""

from dataclasses import dataclass

from umup_diag.checks.audit.measured import Measured, Power
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Role
from umup_diag.scaling.scheme import Exponents, Scheme
from umup_diag.scaling.update_rules import RULES, UpdateRule

FINITE = Exponents()  #: the row of what width does not touch: nothing of it goes with width


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What was measured of a parameter.

    Attributes:
        name: of the parameter, or of the layer whose weight it is.
        order: place in the model.
        role: None for one that does not grow with width.
        role_name: in words; empty where only one width is known.
        rule: of its optimizer; None if that is not known, or if there is none.
        init: power of its initial RMS; None where it starts at zero.
        multiplier: power of the constants on its output; None where they were not measured.
        lr: power of its learning rate; None where that is zero.
        decay: power of lr·λ; None where that is zero.
    """

    name: str
    order: int
    role: Role | None
    role_name: str
    rule: UpdateRule | None
    init: Power | None
    multiplier: Power | None
    lr: Power | None
    decay: Power | None

    @classmethod
    def of(cls, measured: Measured, name: str, order: int) -> "Parameter":
        """Read from a recording of two widths or more."""
        return cls(
            name=name,
            order=order,
            role=measured.role(name),
            role_name=measured.role_name(name),
            rule=measured.rule(name),
            init=measured.init(name),
            multiplier=measured.multiplier(name),
            lr=measured.power(name, Kind.RATE),
            decay=measured.power(name, Kind.WEIGHT_DECAY),
        )

    def row(self, scheme: Scheme) -> Exponents:
        """The row of a scheme that it is held to."""
        return FINITE if self.role is None else scheme.rows[self.role]

    @property
    def weight(self) -> Power | None:
        """Power of the weight as the forward pass sees it."""
        if self.init is None or self.multiplier is None:
            return None
        return self.init + self.multiplier

    def step(self, row: Exponents) -> Power | None:
        """Power of what the rate stands for, in the gauge-free sum that a row is compared in."""
        if self.lr is None or self.multiplier is None or self.rule is None:
            return None
        return self.lr + self.multiplier.times(multiplicity(self.rule, row))


def multiplicity(rule: UpdateRule, row: Exponents) -> int:
    """How often a multiplier enters the change of the output by one update.

    Once in the output; and once more in the gradient, for a rule that keeps the gradient's scale,
    unless the ops give the weight's gradient a multiplier of its own.
    """
    return 2 if RULES[rule].gradient and row.grad_weight is None else 1


def row_step(rule: UpdateRule, row: Exponents) -> float:
    """The same sum of a scheme's row."""
    return row.lr(rule) + multiplicity(rule, row) * row.multiplier
