"""The depth slopes that a scheme implies for what is in a residual block.

Write L^β for what a branch is multiplied by, L^ρ for the learning rate of what is in it. The stream
stays Θ(1), and so does the gradient that it hands back; the gradient of a weight in a branch goes
like β. An update takes off the loss the gradient times the step: β + ρ under a rule that forgets
the gradient's size, 2β + ρ under one that goes with it. There are L blocks that learn at once, so
each may take 1/L: a rule of scaling in depth is a solution of β + ρ = −1, or of 2β + ρ = −1.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from umup_diag.scaling.scheme import Scheme
from umup_diag.scaling.schemes import COMPLETEP, DEPTH_MUP
from umup_diag.scaling.update_rules import RULES, UpdateRule

#: What a scheme that says nothing of depth may do about it: β = −1 and a rate to match, or −½.
KNOWN = (COMPLETEP, DEPTH_MUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthTheory:
    """A scheme with a rule for depth, and an optimizer.

    Attributes:
        scheme: the parametrization.
        update_rule: of the optimizer.
        true_gradient: whether gradients are the loss's; unit-scaled ops give those in a branch unit
            size, whatever it is multiplied by.
    """

    scheme: Scheme
    update_rule: UpdateRule
    true_gradient: bool = True

    @property
    def branch(self) -> float:
        """β, the power of depth in a branch's share of the stream."""
        return self.scheme.branch

    @property
    def rate(self) -> float:
        """ρ, that in the learning rate of what is in a block."""
        return self.scheme.depth_lr[self.update_rule]

    @property
    def gradient(self) -> float:
        """Of the gradient of a weight in a block."""
        return self.branch if self.true_gradient else 0.0

    @property
    def loss_change(self) -> float:
        """Of what one tensor of one block takes off the loss; the sum over blocks has one more."""
        twice = 2.0 if RULES[self.update_rule].gradient else 1.0
        return twice * self.gradient + self.rate


def has_rule(scheme: Scheme) -> bool:
    """Whether a scheme says how branches go with depth."""
    return scheme.branch != 0.0


def nearest(rates: Iterable[tuple[UpdateRule, float]]) -> Scheme:
    """The known rule whose learning rates are nearest to some powers of depth.

    Args:
        rates: update rule and measured power of depth in the rate, of each tensor.
    """
    measured = list(rates)

    def distance(scheme: Scheme) -> float:
        return sum(abs(rate - scheme.depth_lr[rule]) for rule, rate in measured)

    return min(KNOWN, key=distance)
