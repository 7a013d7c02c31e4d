"""What is judged of each tensor, and against what: loss change, gains, logits, rates."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

from umup_diag.checks.coordcheck.decision import (
    AT_MOST_FLAT,
    EDGE,
    FLAT,
    SMALLEST_FAULT,
    Accepted,
)
from umup_diag.checks.coordcheck.evidence import Evidence, Facts, is_whole
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.spectral import norm_questions
from umup_diag.checks.coordcheck.trend import MOST_SEEDS, Trend, Values, pooled, trend
from umup_diag.report.names import starred
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import ALIGNED, INDEPENDENT, WidthTheory
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import Exponents, Scheme, UpdateRule

#: A loss change so much smaller than the model's median is rounding: a key's bias has no gradient.
NEGLIGIBLE = 2.0**-20
#: A gradient that lies along its weight no more than this, of what it does by chance, sees a norm.
ACROSS = 0.01
#: What is pooled over layers. A gain is not: it is exact as it is, and each layer's own.
_POOLED = (Kind.LOSS_CHANGE, Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE)
#: What a sum over the elements of a tensor adds to a slope.
_GROWTH = {Role.INPUT: 1.0, Role.HIDDEN: 2.0, Role.OUTPUT: 1.0, Role.VECTOR: 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that a sweep says, as questions.

    Attributes:
        questions: by tensor and kind.
        gradients: tensor → slope of its gradient's RMS before its first update.
        silent: tensors that no update gives a gradient to speak of.
        facts: of each tensor.
    """

    questions: dict[tuple[str, Kind], Question]
    gradients: dict[str, float]
    silent: list[str]
    facts: dict[str, Facts]


class Measuring:
    """Turns evidence into questions under a scheme."""

    def __init__(self, evidence: Evidence, scheme: Scheme, *, true_gradient: bool) -> None:
        self.evidence = evidence
        self.scheme = _plain(scheme) if true_gradient else scheme
        self.true_gradient = true_gradient
        self._medians = self._median_fall()

    def all(self) -> Measured:
        """Every question, in forward order."""
        silent, questions = [], []
        for facts in self.evidence.facts.values():
            step = self.step(facts.tensor)
            if step is None:
                if self.evidence.steps(facts.tensor, Kind.LOSS_CHANGE):
                    silent.append(facts.tensor)
            else:
                questions += list(self._tensor(facts, step))
            questions += list(self._layer(facts))
            questions += list(self._norms(facts))
        questions += list(self._logits())
        questions = list(self._with_siblings(list(self._up_to_size(questions))))
        found = {question.key: question for question in questions}
        gradients = {
            tensor: found_trend.slope
            for tensor in self.evidence.facts
            if (found_trend := self._gradient(tensor))
        }
        return Measured(
            questions=found,
            gradients=gradients,
            silent=silent,
            facts=dict(self.evidence.facts),
        )

    def _up_to_size(self, questions: Sequence[Question]) -> Iterator[Question]:
        """Let the size of a layer before a norm be what it likes, if its updates have it too.

        Then training is the same to the last bit: what is right is how far a step turns the weight.
        """
        by_key = {question.key: question for question in questions}
        for each in questions:
            tensor, size = each.tensor, by_key.get((each.tensor, Kind.GAIN))
            turn = by_key.get((tensor, Kind.UPDATE_GAIN)) or by_key.get((tensor, Kind.RATE))
            if each in (size, turn) and size and turn and self._has_no_size(tensor):
                facts = self.evidence.facts[tensor]
                twice = 2.0 if facts.update_rule is UpdateRule.SGD else 1.0
                off = size.accepted.deviation(size.found.slope)
                alike = turn.accepted.deviation(turn.found.slope) / twice
                if abs(off) >= EDGE and abs(alike - off) < EDGE:
                    free = off if each is size else twice * off
                    yield replace(each, accepted=each.accepted.shifted(free))
                    continue
            yield each

    def _has_no_size(self, tensor: str) -> bool:
        """Whether the loss depends on a weight's direction alone: its gradient stands across it."""
        steps = self.evidence.steps(tensor, Kind.GRADIENT_RADIAL)
        if not steps:
            return False
        values = self.evidence.values[tensor, Kind.GRADIENT_RADIAL, steps[0]]
        return all(along < ACROSS for widths in values.values() for along in widths.values())

    def _with_siblings(self, questions: Sequence[Question]) -> Iterator[Question]:
        members: dict[tuple[str, Kind, int], list[Values]] = defaultdict(list)
        rated = {
            each.tensor
            for each in questions
            if each.kind in (Kind.RATE, Kind.UPDATE_GAIN)
            and abs(each.accepted.deviation(each.found.slope)) < EDGE
        }
        for each in questions:
            if each.kind in _POOLED:
                values = self.evidence.values[each.tensor, each.kind, each.step]
                members[starred(each.tensor), each.kind, each.step].append(values)
        for each in questions:
            alike = members[starred(each.tensor), each.kind, each.step]
            facts = self.evidence.facts.get(each.tensor)
            is_change = each.kind is Kind.LOSS_CHANGE
            # Under descent a norm is the rate times the gradient's, as few tokens give it.
            is_descent = facts is not None and facts.update_rule is UpdateRule.SGD
            is_norm = each.kind is Kind.UPDATE_NORM and is_descent
            yield replace(
                each,
                siblings=pooled(alike) if len(alike) > 1 else None,
                rate_is_right=(is_change or is_norm) and each.tensor in rated,
                speaks_for_few=is_norm or (is_change and facts is not None and facts.role is None),
            )

    def step(self, tensor: str) -> int | None:
        """The first update with a loss change to speak of, in all runs or nearly all."""
        for step in self.evidence.steps(tensor, Kind.LOSS_CHANGE):
            values = self._above_rounding(
                self.evidence.values[tensor, Kind.LOSS_CHANGE, step], step
            )
            if is_whole(values):
                return step
        return None

    def _gradient(self, tensor: str) -> Trend | None:
        steps = self.evidence.steps(tensor, Kind.GRADIENT_RMS)
        return self.evidence.trend(tensor, Kind.GRADIENT_RMS, steps[0]) if steps else None

    def theory(self, facts: Facts) -> WidthTheory:
        """Predictions for a tensor."""
        return WidthTheory(scheme=self.scheme, update_rule=facts.update_rule)

    def _tensor(self, facts: Facts, step: int) -> Iterator[Question]:
        """Loss change, and the rate at which it is updated."""
        evidence, tensor = self.evidence, facts.tensor
        theory = self.theory(facts)
        values = self._above_rounding(evidence.values[tensor, Kind.LOSS_CHANGE, step], step)
        found = trend(values)
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
        passed = evidence.trend(tensor, Kind.GRADIENT_PASSED, step) if descends else None
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
                is_decisive=accepted.high - accepted.low > EDGE or self._agree(ask, rate),
                fault=SMALLEST_FAULT,
            )
        ask = replace(ask, fault=SMALLEST_FAULT)
        if passed:
            yield replace(
                ask, kind=Kind.GRADIENT_PASSED, found=passed, accepted=FLAT, is_decisive=False
            )
        share = evidence.values.get((tensor, Kind.EPS_SHARE, step))
        if share and facts.update_rule is UpdateRule.ADAM:
            left = {s: {w: 1.0 - x for w, x in each.items()} for s, each in share.items()}
            if kept := trend(left):
                yield replace(
                    ask, kind=Kind.EPS_SHARE, found=kept, accepted=FLAT, is_decisive=False
                )
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

    def _norms(self, facts: Facts) -> Iterator[Question]:
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
                rate = rate + factor + (factor if self.true_gradient else _NONE)
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

    def _layer(self, facts: Facts) -> Iterator[Question]:
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

    def _logits(self) -> Iterator[Question]:
        for name, kind, step in sorted(self.evidence.values):
            if kind not in (Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE):
                continue
            found = self.evidence.trend(name, kind, step)
            if found is None or not is_whole(self.evidence.values[name, kind, step]):
                continue
            accepted = AT_MOST_FLAT
            if kind is Kind.ATTENTION_LOGITS:
                # With heads that grow, unaligned queries and keys give what the scheme's power of
                # d_head leaves of √d_head. More is right only if the change does not grow either.
                growth = self.evidence.head_growth.get(name, 1.0)
                low = min((self.scheme.head_dim + INDEPENDENT) * growth, 0.0)
                accepted = Accepted(low=low, high=low if self._logits_grow(name) else 0.0)
            yield Question(
                tensor=name,
                kind=kind,
                step=step,
                order=self.evidence.order.get(name, 0),
                found=found,
                accepted=accepted,
            )

    def _logits_grow(self, name: str) -> bool:
        """Whether the change of a module's logits leans to growth."""
        steps = self.evidence.steps(name, Kind.ATTENTION_LOGITS_CHANGE)
        found = (
            self.evidence.trend(name, Kind.ATTENTION_LOGITS_CHANGE, steps[-1]) if steps else None
        )
        return found is not None and found.slope > EDGE

    def outer(self, tensor: str) -> Trend:
        """The constants before and after a layer."""
        found = _NONE
        for kind in (Kind.INPUT_MULTIPLIER, Kind.OUTPUT_MULTIPLIER, Kind.NEXT_MULTIPLIER):
            values = self.evidence.values.get((tensor, kind, 0))
            if kind is not Kind.OUTPUT_MULTIPLIER and values:
                is_norms = any(values == each for each in self._of_norms.values())
                values = values if is_norms == (kind is Kind.NEXT_MULTIPLIER) else None
            part = trend(_absolute(values)) if values else None
            found = found + part if part else found
        return found

    @cached_property
    def _of_norms(self) -> Mapping[str, Values]:
        """The constants that a norm's gain makes up for: gain → constants right after its norm.

        They are not those of the layer that they are before.
        """
        found = {}
        for tensor, kind, step in self.evidence.values:
            if kind is Kind.NEXT_MULTIPLIER:
                gain = self.evidence.trend(tensor, Kind.GAIN, 0)
                after = self.evidence.trend(tensor, kind, step)
                if gain and after and abs(after.slope) >= EDGE > abs(gain.slope + after.slope):
                    found[tensor] = self.evidence.values[tensor, kind, step]
        return found

    def multiplier(self, tensor: str) -> Trend | None:
        """All constants of a layer: inside and around it; None where they could not be read off."""
        values = self.evidence.values.get((tensor, Kind.MULTIPLIER, 0))
        inside = trend(_absolute(values)) if values else None
        return None if inside is None else inside + self.outer(tensor)

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

    @staticmethod
    def _agree(change: Question, rate: tuple[Trend, Accepted, Kind]) -> bool:
        """Whether a loss change leans where the rate says that it should."""
        own = change.accepted.deviation(change.found.slope)
        told = rate[1].deviation(rate[0].slope)
        return abs(told) >= EDGE and abs(own) >= EDGE and abs(own - told) < abs(own)

    def _median_fall(self) -> dict[tuple[int, int, int], float]:
        found: dict[tuple[int, int, int], list[float]] = {}
        for (_, kind, step), values in self.evidence.values.items():
            if kind is Kind.LOSS_CHANGE:
                for seed, widths in values.items():
                    for width, value in widths.items():
                        if value:
                            found.setdefault((step, seed, width), []).append(abs(value))
        return {key: median(values) for key, values in found.items()}

    def _above_rounding(self, values: Values, step: int) -> Values:
        return {
            seed: {
                width: value
                if abs(value) > NEGLIGIBLE * self._medians.get((step, seed, width), 0.0)
                else 0.0
                for width, value in widths.items()
            }
            for seed, widths in values.items()
        }


_NONE = Trend(slope=0.0, error=0.0, freedom=1000, seeds=MOST_SEEDS)  #: of a constant of 1


def _absolute(values: Values) -> Values:
    return {s: {w: abs(x) for w, x in each.items()} for s, each in values.items()}


def _plain(scheme: Scheme) -> Scheme:
    """A scheme whose gradients are autograd's own."""
    rows = {
        role: replace(row, grad_input=None, grad_weight=None) for role, row in scheme.rows.items()
    }
    return replace(scheme, rows=rows)
