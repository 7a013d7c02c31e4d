"""What is right over depth, and over any other axis that is not width.

Along these axes the fans of a layer stay as they are. What a tensor learns is Θ(1) then, unless it
is one of a growing number of blocks that share what there is to learn: each may take 1/L, and the
sum over them is Θ(1). In blocks of residual branches the scheme says with what powers.
"""

from collections.abc import Iterator
from dataclasses import replace

from umup_diag.checks.coordcheck.decision import (
    AT_MOST_FLAT,
    EDGE,
    FLAT,
    SMALLEST_FAULT,
    Accepted,
)
from umup_diag.checks.coordcheck.evidence import Evidence, Facts
from umup_diag.checks.coordcheck.line import at_first, is_in_stack, is_total
from umup_diag.checks.coordcheck.measuring import Measuring, exactly
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.trend import Trend
from umup_diag.scaling.depth import DepthTheory, has_rule, nearest
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import INDEPENDENT
from umup_diag.scaling.schemes import Scheme, UpdateRule

#: Residual blocks from which on they add no more to the stream than there was: branches at 2/L, as
#: in a decoder's two a block, add a variance of 8/L in all to one of 1.
ENOUGH_BLOCKS = 8


class AxisMeasuring(Measuring):
    """Questions over an axis that is not width.

    Attributes:
        is_residual: whether the blocks of a growing stack end in residual branches.
    """

    def __init__(self, evidence: Evidence, scheme: Scheme, *, true_gradient: bool) -> None:
        super().__init__(evidence, scheme, true_gradient=true_gradient)
        ends = [known for known in evidence.facts.values() if known.ends_branch]
        self.is_residual = any(is_in_stack(known.tensor) for known in ends)
        if self.is_residual:
            self.settles = evidence.largest >= ENOUGH_BLOCKS
        if self.is_residual and not has_rule(scheme):
            self.scheme = nearest(self._rates())

    def of_tensor(self, facts: Facts, step: int) -> Iterator[Question]:
        """Loss change, and the rate at which it is updated."""
        found = self.change(facts.tensor, step)
        assert found is not None
        accepted = self._change_accepted(facts)
        ask = Question(
            tensor=facts.tensor,
            kind=Kind.LOSS_CHANGE,
            step=step,
            order=facts.order,
            found=found,
            accepted=accepted,
        )
        rate = self._rate(facts, step)
        if self._has_gradient_alone(facts, step, rate):
            ask = replace(ask, fault=2 * SMALLEST_FAULT)
        is_judged = self.settles or not is_in_stack(facts.tensor)
        if is_judged:
            yield ask
        ask = replace(ask, fault=SMALLEST_FAULT)
        if rate is not None:
            yield replace(
                ask,
                kind=rate[2],
                found=rate[0],
                accepted=rate[1],
                is_decisive=not is_judged or self.agree(ask, rate),
            )
        yield from self.explaining(ask, facts)
        decay = self.evidence.trend(facts.tensor, Kind.WEIGHT_DECAY, step)
        if decay and self.scheme.independent_weight_decay:
            yield replace(ask, kind=Kind.WEIGHT_DECAY, found=decay, accepted=FLAT)

    def of_layer(self, facts: Facts) -> Iterator[Question]:
        """The gain at init, to where its output joins the stream if it ends a branch."""
        inner = self.evidence.trend(facts.tensor, Kind.GAIN, 0)
        if inner is None:
            return
        expected = self._theory(facts).branch if self._ends_branch(facts) else 0.0
        yield Question(
            tensor=facts.tensor,
            kind=Kind.GAIN,
            step=0,
            order=facts.order,
            found=inner + self._around(facts),
            accepted=exactly(expected),
        )

    def logits_accepted(self, name: str, kind: Kind) -> Accepted | None:  # noqa: ARG002
        """They may not grow with depth at init; with a number of heads, say, nobody knows.

        How they change is what the blocks before have done together: it tells nothing new, and
        takes many blocks to settle.
        """
        return AT_MOST_FLAT if self.is_residual and kind is Kind.ATTENTION_LOGITS else None

    def _theory(self, facts: Facts) -> DepthTheory:
        return DepthTheory(
            scheme=self.scheme, update_rule=facts.update_rule, true_gradient=self.true_gradient
        )

    def _ends_branch(self, facts: Facts) -> bool:
        return facts.ends_branch and is_in_stack(facts.tensor)

    def _change_accepted(self, facts: Facts) -> Accepted:
        tensor = facts.tensor
        if is_total(tensor):
            first = self.evidence.facts[at_first(tensor)]
            return exactly(self._theory(first).loss_change + 1.0 if self.is_residual else 0.0)
        if is_in_stack(tensor):
            if self.is_residual:
                return exactly(self._theory(facts).loss_change)
            return Accepted(low=-1.0, high=0.0)  # alike, or one does all
        # A sum over what grows in number may be aligned or not.
        twice = 2.0 if facts.update_rule is UpdateRule.SGD else 1.0
        unknown = INDEPENDENT * twice * abs(facts.growth)
        return Accepted(low=-unknown, high=unknown)

    def _rate(self, facts: Facts, step: int) -> tuple[Trend, Accepted, Kind] | None:
        """The update by itself, whatever the gradient's size."""
        tensor = facts.tensor
        in_stack = is_in_stack(tensor)
        if is_total(tensor) or (in_stack and not self.is_residual) or facts.growth:
            return None
        theory = self._theory(facts)
        expected = theory.rate if in_stack else 0.0
        branch = theory.branch if self._ends_branch(facts) else 0.0
        around = self._around(facts)
        descends = facts.update_rule is UpdateRule.SGD
        if not descends:
            gain = self.evidence.trend(tensor, Kind.UPDATE_GAIN, step)
            if gain is not None:
                return gain + around, exactly(expected + branch), Kind.UPDATE_GAIN
        rate = self.evidence.trend(tensor, Kind.RATE, step)
        if rate is None or not (descends or facts.is_sign):
            return None
        if self.evidence.steps(tensor, Kind.GAIN):
            inside = self.inside(tensor)
            if inside is None:
                return None
            times = 2 if descends and self.true_gradient else 1
            for _ in range(times):
                rate, expected = rate + inside + around, expected + branch
        return rate, exactly(expected), Kind.RATE

    def _has_gradient_alone(
        self, facts: Facts, step: int, rate: tuple[Trend, Accepted, Kind] | None
    ) -> bool:
        """Whether a loss change can be wrong by its gradient alone, and is off by more then.

        Under descent the gradient counts twice. In a block it settles with depth: while what the
        blocks add to the stream is not small, the norms divide by more; the sum over the stack
        settles first, and is held to half a power.
        """
        descends = facts.update_rule is UpdateRule.SGD
        if is_total(facts.tensor):
            return self.evidence.facts[at_first(facts.tensor)].update_rule is UpdateRule.SGD
        if rate is None or abs(rate[1].deviation(rate[0].slope)) >= EDGE:
            return False
        passed = self.passed(facts, step)
        is_clipped = passed is not None and abs(passed.slope) >= EDGE
        return not is_clipped and (descends or is_in_stack(facts.tensor))

    def _around(self, facts: Facts) -> Trend:
        """What a layer is multiplied by from outside."""
        if self._ends_branch(facts):
            return self.constant(facts.tensor, Kind.INPUT_MULTIPLIER, Kind.BRANCH_MULTIPLIER)
        return self.outer(facts.tensor)

    def _rates(self) -> Iterator[tuple[UpdateRule, float]]:
        """The power of the axis in the learning rate of each tensor of a block."""
        for facts in self.evidence.facts.values():
            steps = self.evidence.steps(facts.tensor, Kind.RATE)
            rate = self.evidence.trend(facts.tensor, Kind.RATE, steps[0]) if steps else None
            if rate is not None and is_in_stack(facts.tensor):
                yield facts.update_rule, rate.slope
