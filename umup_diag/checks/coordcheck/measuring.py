"""What is judged of each tensor, and against what: loss change, gains, logits, rates.

What is measured is the same along every axis; what is right is not, and stands in
`umup_diag.checks.coordcheck.over_width` and `umup_diag.checks.coordcheck.over_axis`.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

from umup_diag.checks.coordcheck.decision import EDGE, FLAT, Accepted
from umup_diag.checks.coordcheck.evidence import Evidence, Facts, is_whole
from umup_diag.checks.coordcheck.free_size import up_to_free_sizes
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.trend import MOST_SEEDS, Trend, Values, pooled, trend
from umup_diag.report.names import starred
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.schemes import Scheme, UpdateRule

#: A loss change so much smaller than the model's median is rounding: a key's bias has no gradient.
NEGLIGIBLE = 2.0**-20
#: What is pooled over layers. A gain is not: it is exact as it is, and each layer's own.
_POOLED = (Kind.LOSS_CHANGE, Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that a sweep says, as questions.

    Attributes:
        questions: by tensor and kind.
        gradients: tensor → slope of its gradient's RMS before its first update.
        silent: tensors that no update gives a gradient to speak of.
        facts: of each tensor.
        axis: that slopes are over.
        held_to: name of the scheme whose slopes are right.
        settles: whether models grow large enough for what a block does to the loss to be judged.
    """

    questions: dict[tuple[str, Kind], Question]
    gradients: dict[str, float]
    silent: list[str]
    facts: dict[str, Facts]
    axis: str
    held_to: str
    settles: bool = True


class Measuring(ABC):
    """Turns evidence into questions under a scheme.

    Attributes:
        evidence: along one axis.
        scheme: that the model is held to.
        true_gradient: whether the gradients are those of the loss.
        settles: whether models grow large enough for what a block does to the loss to be judged.
    """

    settles = True

    def __init__(self, evidence: Evidence, scheme: Scheme, *, true_gradient: bool) -> None:
        self.evidence, self.scheme, self.true_gradient = evidence, scheme, true_gradient
        self._medians = self._median_fall()

    @abstractmethod
    def of_tensor(self, facts: Facts, step: int) -> Iterator[Question]:
        """What to ask of a tensor's first update with a gradient."""

    @abstractmethod
    def of_layer(self, facts: Facts) -> Iterator[Question]:
        """What to ask of a layer at init."""

    def of_norms(self, facts: Facts) -> Iterator[Question]:  # noqa: ARG002
        """What to ask of a matrix's operator norms; nothing where there is no theory of them."""
        return iter(())

    @abstractmethod
    def logits_accepted(self, name: str, kind: Kind) -> Accepted | None:
        """What is right of a module's attention logits; None where nobody knows."""

    def all(self) -> Measured:
        """Every question, in forward order."""
        silent, questions = [], []
        for facts in self.evidence.facts.values():
            step = self.step(facts.tensor)
            if step is None:
                if self.evidence.steps(facts.tensor, Kind.LOSS_CHANGE):
                    silent.append(facts.tensor)
            else:
                questions += list(self.of_tensor(facts, step))
            questions += list(self.of_layer(facts))
            questions += list(self.of_norms(facts))
        questions += list(self._logits())
        questions = list(self._with_siblings(list(up_to_free_sizes(questions, self.evidence))))
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
            axis=self.evidence.axis,
            held_to=self.scheme.name,
            settles=self.settles,
        )

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
                siblings=self._pooled(alike) if len(alike) > 1 else None,
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

    def explaining(self, ask: Question, facts: Facts) -> Iterator[Question]:
        """What of an update only explains: what clipping passed on, and what ε left."""
        evidence, tensor, step = self.evidence, facts.tensor, ask.step
        if passed := self.passed(facts, step):
            yield replace(
                ask, kind=Kind.GRADIENT_PASSED, found=passed, accepted=FLAT, is_decisive=False
            )
        share = evidence.values.get((tensor, Kind.EPS_SHARE, step))
        if share and facts.update_rule is UpdateRule.ADAM:
            left = {s: {w: 1.0 - x for w, x in each.items()} for s, each in share.items()}
            if kept := self.fit(left):
                yield replace(
                    ask, kind=Kind.EPS_SHARE, found=kept, accepted=FLAT, is_decisive=False
                )

    def passed(self, facts: Facts, step: int) -> Trend | None:
        """The share of a gradient that reached an optimizer that goes with it."""
        descends = facts.update_rule is UpdateRule.SGD
        return self.evidence.trend(facts.tensor, Kind.GRADIENT_PASSED, step) if descends else None

    def change(self, tensor: str, step: int) -> Trend | None:
        """Of a tensor's loss change, but for what is rounding."""
        values = self.evidence.values[tensor, Kind.LOSS_CHANGE, step]
        return self.fit(self._above_rounding(values, step))

    def fit(self, values: Values) -> Trend | None:
        """A slope over the sizes that count."""
        return trend(values, without=self.evidence.settling)

    def _pooled(self, series: Sequence[Values]) -> Trend | None:
        return pooled(series, without=self.evidence.settling)

    def _logits(self) -> Iterator[Question]:
        for name, kind, step in sorted(self.evidence.values):
            if kind not in (Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE):
                continue
            found = self.evidence.trend(name, kind, step)
            if found is None or not is_whole(self.evidence.values[name, kind, step]):
                continue
            accepted = self.logits_accepted(name, kind)
            if accepted is not None:
                yield Question(
                    tensor=name,
                    kind=kind,
                    step=step,
                    order=self.evidence.order.get(name, 0),
                    found=found,
                    accepted=accepted,
                )

    def outer(self, tensor: str) -> Trend:
        """The constants before and after a layer."""
        found = NO_TREND
        for kind in (Kind.INPUT_MULTIPLIER, Kind.OUTPUT_MULTIPLIER, Kind.NEXT_MULTIPLIER):
            values = self.evidence.values.get((tensor, kind, 0))
            if kind is not Kind.OUTPUT_MULTIPLIER and values:
                is_norms = any(values == each for each in self._of_norms.values())
                values = values if is_norms == (kind is Kind.NEXT_MULTIPLIER) else None
            part = self.fit(absolute(values)) if values else None
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

    def constant(self, tensor: str, *kinds: Kind) -> Trend:
        """The product of several constants of a layer; one that was not found is 1."""
        found = NO_TREND
        for kind in kinds:
            values = self.evidence.values.get((tensor, kind, 0))
            part = self.fit(absolute(values)) if values else None
            found = found + part if part else found
        return found

    def inside(self, tensor: str) -> Trend | None:
        """The constant inside a layer; None where it could not be read off."""
        values = self.evidence.values.get((tensor, Kind.MULTIPLIER, 0))
        return self.fit(absolute(values)) if values else None

    def multiplier(self, tensor: str) -> Trend | None:
        """All constants of a layer: inside and around it; None where they could not be read off."""
        inside = self.inside(tensor)
        return None if inside is None else inside + self.outer(tensor)

    @staticmethod
    def agree(change: Question, rate: tuple[Trend, Accepted, Kind]) -> bool:
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


NO_TREND = Trend(slope=0.0, error=0.0, freedom=1000, seeds=MOST_SEEDS)  #: of a constant of 1


def exactly(slope: float) -> Accepted:
    """One slope is right."""
    return Accepted(low=slope, high=slope)


def absolute(values: Values) -> Values:
    """Without signs."""
    return {s: {w: abs(x) for w, x in each.items()} for s, each in values.items()}
