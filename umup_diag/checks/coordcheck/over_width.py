"""What is right over width, as a scheme and the fans of each tensor imply it."""

from collections.abc import Iterator
from dataclasses import replace

from umup_diag.checks.coordcheck.decision import (
    AT_MOST_FLAT,
    EDGE,
    SMALLEST_FAULT,
    Accepted,
)
from umup_diag.checks.coordcheck.evidence import Evidence, Facts
from umup_diag.checks.coordcheck.measuring import NO_TREND, Measuring
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.spectral import norm_questions
from umup_diag.checks.coordcheck.trend import Trend
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import ALIGNED, INDEPENDENT, WidthTheory
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import Exponents, Scheme, UpdateRule

#: What a sum over the elements of a tensor adds to a slope.
_GROWTH = {Role.INPUT: 1.0, Role.HIDDEN: 2.0, Role.OUTPUT: 1.0, Role.VECTOR: 1.0}


class WidthMeasuring(Measuring):
    """Questions over width."""

    def __init__(self, evidence: Evidence, scheme: Scheme, *, true_gradient: bool) -> None:
        scheme = _plain(scheme) if true_gradient else scheme
        super().__init__(evidence, scheme, true_gradient=true_gradient)

    def theory(self, facts: Facts) -> WidthTheory:
        """Predictions for a tensor."""
        return WidthTheory(scheme=self.scheme, update_rule=facts.update_rule)

    def of_tensor(self, facts: Facts, step: int) -> Iterator[Question]:
        """Loss change, and the rate at which it is updated."""
        evidence, tensor = self.evidence, facts.tensor
        theory = self.theory(facts)
        found = self.change(tensor, step)
        assert found is not None
        expected = 0.0
        if facts.role is not None:
            gradient = theory.predict(Kind.WEIGHT_GRAD, facts.role)
            update = theory.predict(Kind.UPDATE, facts.role)
            assert gradient is not None
            assert update is not None
            expected = gradient.slope + update.slope + _GROWTH[facts.role]
        # Under descent the gradient counts twice, in the loss change and in the update.
        twice = 2.0 if facts.update_rule is UpdateRule.SGD else 1.0
        low = expected - INDEPENDENT * twice * self._unaligned(facts)
        low += twice * self._multiplied_after(tensor)
        accepted = Accepted(low=low, high=expected)
        ask = Question(
            tensor=tensor,
            kind=Kind.LOSS_CHANGE,
            step=step,
            order=facts.order,
            found=found,
            accepted=accepted,
        )
        rate = self._rate(facts, step, theory)
        descends = facts.update_rule is UpdateRule.SGD
        passed = self.passed(facts, step)
        is_clipped = passed is not None and abs(passed.slope) >= EDGE
        if rate is not None and descends and abs(rate[1].deviation(rate[0].slope)) < EDGE:
            # Its rate is known exactly, and right: what may be wrong is the gradient, squared,
            # unless the optimizer got another gradient than the loss's.
            ask = ask if is_clipped else replace(ask, fault=2 * SMALLEST_FAULT)
        yield ask
        if rate is not None:
            yield replace(
                ask,
                kind=rate[2],
                found=rate[0],
                accepted=rate[1],
                is_decisive=accepted.high - accepted.low > EDGE or self.agree(ask, rate),
                fault=SMALLEST_FAULT,
            )
        ask = replace(ask, fault=SMALLEST_FAULT)
        yield from self.explaining(ask, facts)
        decay = evidence.trend(tensor, Kind.WEIGHT_DECAY, step)
        if decay and self.scheme.independent_weight_decay:
            accepted = Accepted(low=-SMALLEST_FAULT, high=0.0)
            yield replace(ask, kind=Kind.WEIGHT_DECAY, found=decay, accepted=accepted)

    def _unaligned(self, facts: Facts) -> float:
        """By how many powers of √width a first gradient is smaller, as it is not aligned at init.

        It sums over the width what is not aligned: of what feeds a softmax over growing heads, of a
        tensor that does not grow but serves every channel, and of one that acts through a few
        values alone, as a router does.
        """
        grows = 1.0 if facts.role is None else self._softmax_growth(facts.tensor)
        return max(grows, self.evidence.narrowing(facts.tensor))

    def of_norms(self, facts: Facts) -> Iterator[Question]:
        """Operator norms, if they were measured."""
        descends = facts.update_rule is UpdateRule.SGD
        return norm_questions(
            self.evidence,
            facts,
            self.theory(facts),
            self.multiplier(facts.tensor),
            slack=INDEPENDENT * self._unaligned(facts) if descends else 0.0,
        )

    def _rate(
        self, facts: Facts, step: int, theory: WidthTheory
    ) -> tuple[Trend, Accepted, Kind] | None:
        """The update by itself, whatever the gradient's size: how fast its layer moves."""
        tensor, role = facts.tensor, facts.role
        rate = self.evidence.trend(tensor, Kind.RATE, step)
        row = self.scheme.rows[role] if role else Exponents()
        if facts.update_rule is UpdateRule.SGD:
            if rate is None:
                return None
            expected = row.lr(UpdateRule.SGD) + row.multiplier + row.backward_weight
            matrix = role is not Role.VECTOR
            factor = self.multiplier(tensor) if matrix else self.outer(tensor)
            if factor:
                rate = rate + factor + (factor if self.true_gradient else NO_TREND)
            elif matrix and role and self.evidence.steps(tensor, Kind.GAIN):
                return None
            # A bias that a constant meets as well may make up for it, or not.
            high = expected - 2.0 * self._multiplied_after(tensor)
            return rate, Accepted(low=expected, high=high), Kind.RATE
        gain = self.evidence.trend(tensor, Kind.UPDATE_GAIN, step)
        if gain is not None and role is not None:
            gain = gain + self.outer(tensor)
            aligned = 0.0 if role is Role.INPUT else ALIGNED
            update = theory.predict(Kind.UPDATE, role)
            assert update is not None
            expected = row.multiplier + update.slope + aligned
            return gain, Accepted(low=expected, high=expected), Kind.UPDATE_GAIN
        if facts.is_sign and rate is not None:
            expected = row.lr(UpdateRule.ADAM) + row.multiplier
            high = expected - self._multiplied_after(tensor)
            return rate + self.outer(tensor), Accepted(low=expected, high=high), Kind.RATE
        return None

    def of_layer(self, facts: Facts) -> Iterator[Question]:
        """The gain at init, constants around the layer included."""
        inner = self.evidence.trend(facts.tensor, Kind.GAIN, 0)
        if inner is None or facts.role is None:
            return
        outer = self.outer(facts.tensor)
        whole_gain = inner + outer
        row = self.scheme.rows[facts.role]
        adds_up = facts.role not in (Role.INPUT, Role.VECTOR)
        expected = row.multiplier + row.init + (INDEPENDENT if adds_up else 0.0)
        ask = Question(
            tensor=facts.tensor,
            kind=Kind.GAIN,
            step=0,
            order=facts.order,
            found=whole_gain,
            accepted=Accepted(low=expected, high=expected),
            is_decisive=facts.role is not Role.OUTPUT,
        )
        # Attention may divide its queries right after their layer: small there, and right.
        if whole_gain.slope < expected - EDGE and abs(inner.slope - expected) < EDGE:
            ask = replace(ask, is_decisive=False)
        yield ask

    def logits_accepted(self, name: str, kind: Kind) -> Accepted | None:
        """They may not grow."""
        if kind is not Kind.ATTENTION_LOGITS:
            return AT_MOST_FLAT
        # With heads that grow, unaligned queries and keys give what the scheme's power of d_head
        # leaves of √d_head. More is right only if the change does not grow either.
        growth = self.evidence.head_growth.get(name, 1.0)
        low = min((self.scheme.head_dim + INDEPENDENT) * growth, 0.0)
        return Accepted(low=low, high=low if self._logits_grow(name) else 0.0)

    def _logits_grow(self, name: str) -> bool:
        """Whether the change of a module's logits leans to growth."""
        steps = self.evidence.steps(name, Kind.ATTENTION_LOGITS_CHANGE)
        found = (
            self.evidence.trend(name, Kind.ATTENTION_LOGITS_CHANGE, steps[-1]) if steps else None
        )
        return found is not None and found.slope > EDGE

    def _softmax_growth(self, tensor: str) -> float:
        for layer, growth in self.evidence.softmax_feeders.items():
            if tensor == layer or tensor.startswith(layer + "."):
                return growth
        return 0.0

    def _multiplied_after(self, tensor: str) -> float:
        """Power of the constant after a bias's layer, if it shrinks: it meets the bias as well.

        ``(W·x + b) * m`` and ``W·(x * m) + b`` are one model but for how fast b learns.
        """
        layer, _, name = tensor.rpartition(".")
        after = self.evidence.trend(layer, Kind.OUTPUT_MULTIPLIER, 0)
        return min(after.slope, 0.0) if name == "bias" and after else 0.0


def _plain(scheme: Scheme) -> Scheme:
    """A scheme whose gradients are autograd's own."""
    rows = {
        role: replace(row, grad_input=None, grad_weight=None) for role, row in scheme.rows.items()
    }
    return replace(scheme, rows=rows)
