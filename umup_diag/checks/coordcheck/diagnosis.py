"""From what is off to the cause and the fix: what is local first, and one root for each fault.

Each root rests on a measurement that nothing upstream or downstream can bend: a gain by the
layer's own weights, a rate by its own update, attention's scale by its own logits. What else is off
(by its loss change alone) has a gradient that is off, and follows from a root.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from umup_diag.checks.coordcheck.decision import EDGE, SMALLEST_FAULT, Decision
from umup_diag.checks.coordcheck.evidence import Facts
from umup_diag.checks.coordcheck.line import is_total
from umup_diag.checks.coordcheck.measuring import Measured
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.spectral import NORMS
from umup_diag.checks.fix import Fix, Multiply
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import UpdateRule
from umup_diag.settings.axes import WIDTH

SAME_POWER = 0.25  #: two deviations this close are one power of width, measured twice
#: A rate that is off by less is bent by a fault elsewhere, if there is one: a rule is off by ½.
BENT = 0.75 * SMALLEST_FAULT
MOST_APART = 0.2  #: share of the tensors that may not show what all gradients have in common


class Cause(StrEnum):
    """What can be wrong with a tensor by itself."""

    INIT = "init"
    LEARNING_RATE = "learning rate"
    INIT_AND_RATE = "init and learning rate"
    MULTIPLIER = "multiplier"
    BRANCH = "residual branch"
    ATTENTION_SCALE = "attention scale"
    WEIGHT_DECAY = "weight decay"
    EPSILON = "epsilon"
    CLIPPING = "clipping"
    GRADIENT_SCALE = "gradient scale"
    SPECTRAL_NORM = "spectral norm"

    @property
    def is_at_init(self) -> bool:
        """Whether it is there before any update."""
        return self in (
            Cause.INIT,
            Cause.MULTIPLIER,
            Cause.BRANCH,
            Cause.ATTENTION_SCALE,
            Cause.INIT_AND_RATE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A fault by itself.

    Attributes:
        tensor: at fault.
        cause: of it.
        deviations: what is wrong, as a fix names it → the power of the axis by which it is.
        kinds: of the tensor's findings that show it.
        order: place in the forward pass.
        axis: that the powers are of.
    """

    tensor: str
    cause: Cause
    deviations: Mapping[str, float]
    kinds: frozenset[Kind]
    order: int
    axis: str = WIDTH

    @property
    def fix(self) -> Fix:
        """What takes every deviation back."""
        steps = [
            Multiply(what=what, exponent=-off, axis=self.axis)
            for what, off in self.deviations.items()
        ]
        return Fix(tensor=self.tensor, steps=tuple(steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a finding fails.

    Attributes:
        cause: in words.
        follows: the tensor whose fault it follows from; None where it has its own.
        fix: None where it follows from another, or where nothing is known.
    """

    cause: str
    follows: str | None = None
    fix: Fix | None = None


class Diagnosis:
    """The roots of what fails, and what each failing finding follows from."""

    def __init__(self, measured: Measured, decisions: Mapping[tuple[str, Kind], Decision]) -> None:
        self.measured, self.decisions = measured, decisions
        self.roots: dict[str, Root] = {}
        #: What leans, and what the gradients of the model speak for: as good as wrong.
        self.proven: set[tuple[str, Kind]] = set()
        self._find()

    def of(self, question: Question) -> Explanation:
        """Cause and fix of a failing finding."""
        root = self.roots.get(question.tensor)
        others = [each for each in self.roots.values() if each is not root]
        first = min(others, key=lambda each: (not each.cause.is_at_init, each.order), default=None)
        if root and (question.kind in root.kinds or first is None):
            return Explanation(cause=root.cause, fix=root.fix)
        if first is None:
            return Explanation(cause="unknown")
        return Explanation(cause=f"follows from {first.tensor}", follows=first.tensor)

    def rests_on(self, question: Question) -> bool:
        """Whether a finding that decides nothing by itself is what shows a root."""
        root = self.roots.get(question.tensor)
        shows = root is not None and question.kind in root.kinds
        return shows and (question.key in self.proven or self._wrong(*question.key))

    @property
    def _is_wrong_at_init(self) -> bool:
        """Whether a root was found that bends what is measured elsewhere."""
        return any(root.cause.is_at_init for root in self.roots.values())

    def _off(self, tensor: str, kind: Kind) -> float:
        """Deviation of a measurement that is wrong beyond noise, or as good as; else 0."""
        decision = self.decisions.get((tensor, kind))
        if decision is None or abs(decision.deviation) < EDGE:
            return 0.0
        return decision.deviation

    def _wrong(self, tensor: str, kind: Kind) -> bool:
        decision = self.decisions.get((tensor, kind))
        return decision is not None and decision.is_wrong

    def _add(
        self, facts: Facts, cause: Cause, deviations: Mapping[str, float], *kinds: Kind
    ) -> None:
        self.roots[facts.tensor] = Root(
            tensor=facts.tensor,
            cause=cause,
            deviations=deviations,
            kinds=frozenset(kinds),
            order=facts.order,
            axis=self.measured.axis,
        )

    def _find(self) -> None:
        facts = self.measured.facts
        failing = [t for t in facts if self._wrong(t, Kind.LOSS_CHANGE)]
        self._attention()
        for tensor, known in facts.items():
            if self._wrong(tensor, Kind.GAIN) and known.role is not Role.OUTPUT:
                self._gain(known)
        self._readout(failing)
        for tensor in facts:
            if tensor not in self.roots:
                self._own_rate(facts[tensor])
        for tensor in facts:
            if self._wrong(tensor, Kind.WEIGHT_DECAY):
                # More than one rule is right; the fix leads to the usual, rate × decay constant.
                off = self.measured.questions[tensor, Kind.WEIGHT_DECAY].found.slope
                if tensor not in self.roots:
                    deviations = {"weight decay": off}
                    self._add(facts[tensor], Cause.WEIGHT_DECAY, deviations, Kind.WEIGHT_DECAY)
        self._clipping(failing)
        self._gradients(failing)
        for known in facts.values():
            self._norm(known)

    def _degree(self, facts: Facts) -> int:
        """Power of a factor on the gradient in the loss change."""
        return 2 if facts.update_rule is UpdateRule.SGD else 1

    def _gain(self, facts: Facts) -> None:
        """A layer whose gain is off at init."""
        tensor = facts.tensor
        gain, rate = self._off(tensor, Kind.GAIN), self._rate_off(facts)
        if self._starts_wrong(facts.weight_of, gain):
            return  # and its multiplier need not be
        # Under descent a multiplier counts in the gradient and in the output.
        twice = 2 if facts.update_rule is UpdateRule.SGD else 1
        kinds = (Kind.GAIN, Kind.LOSS_CHANGE, Kind.UPDATE_GAIN, Kind.RATE, *NORMS)
        has_both = rate is not None and abs(rate / twice - gain) <= SAME_POWER
        if has_both and facts.ends_branch and self.measured.axis != WIDTH:
            self._add(facts, Cause.BRANCH, {"branch multiplier": gain}, *kinds)
        elif has_both or facts.weight_of:  # the initial weights are another's, and right there
            self._add(facts, Cause.MULTIPLIER, {"multiplier": gain}, *kinds)
        elif rate:
            deviations = {"initial weights": gain, "learning rate": rate}
            self._add(facts, Cause.INIT_AND_RATE, deviations, *kinds)
        else:
            self._add(facts, Cause.INIT, {"initial weights": gain}, *kinds)

    def _starts_wrong(self, owner: str | None, gain: float) -> bool:
        """Whether a tied layer is off because its weights start wrong where they are from."""
        root = self.roots.get(owner or "")
        return root is not None and root.deviations.get("initial weights", 0.0) * gain > 0

    def _readout(self, failing: Sequence[str]) -> None:
        """A readout whose gain is off, where the gradients of the model say so too."""
        facts = self.measured.facts
        outputs = [known for known in facts.values() if known.role is Role.OUTPUT]
        gains = [known for known in outputs if (known.tensor, Kind.GAIN) in self.decisions]
        if not gains:
            return
        readout = max(gains, key=lambda known: known.order)
        gain = self._off(readout.tensor, Kind.GAIN)
        before = [
            facts[t] for t in failing if t != readout.tensor and facts[t].order <= readout.order
        ]
        alike = [
            known
            for known in before
            if abs(self._gradient_off(known) - gain) <= SAME_POWER and gain
        ]
        explains = bool(before) and 2 * len(alike) >= len(before)
        grows = self.measured.questions[readout.tensor, Kind.GAIN].found.slope > EDGE
        if gain and (explains or grows):
            self._gain(readout)
            if explains:
                self.proven.add((readout.tensor, Kind.GAIN))
        for known in gains:  # others may be one of several
            rate, gain = self._rate_off(known), self._off(known.tensor, Kind.GAIN)
            if not gain or not rate or known.tensor in self.roots:
                continue
            if abs(rate / self._degree(known) - gain) <= SAME_POWER:
                self._gain(known)

    def _attention(self) -> None:
        for (name, kind), decision in self.decisions.items():
            is_logits = kind in (Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE)
            if not is_logits or not decision.is_wrong or name in self.roots:
                continue
            if kind is Kind.ATTENTION_LOGITS_CHANGE:
                place = self.measured.questions[name, kind].order
                if any(self._moves(tensor, name, place) for tensor in self.measured.facts):
                    continue
            elif any(
                tensor.startswith(name + ".") and self._wrong(tensor, Kind.GAIN)
                for tensor in self.measured.facts
            ):
                continue
            initial = self.decisions.get((name, Kind.ATTENTION_LOGITS))
            off = initial.deviation if initial and initial.is_wrong else decision.deviation
            self.roots[name] = Root(
                tensor=name,
                cause=Cause.ATTENTION_SCALE,
                deviations={"attention logits": off},
                kinds=frozenset({Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE}),
                order=self.measured.questions[name, kind].order,
                axis=self.measured.axis,
            )

    def _moves(self, tensor: str, module: str, place: int) -> bool:
        """Whether a tensor in or before a module changes so fast that the module's logits do."""
        facts = self.measured.facts[tensor]
        near = tensor.startswith(module + ".") or facts.order <= place
        fast = max(self._off(tensor, Kind.LOSS_CHANGE), self._rate_off(facts) or 0.0) > 0
        return near and (fast or self._off(tensor, Kind.GAIN) > 0)

    def _rate_off(self, facts: Facts) -> float | None:
        """How far a tensor's own rate is off; None where it was not measured."""
        for kind in (Kind.UPDATE_GAIN, Kind.RATE):
            if (facts.tensor, kind) in self.decisions:
                return self._off(facts.tensor, kind)
        return None

    def _gradient_off(self, facts: Facts) -> float:
        """How far a tensor's gradient is off, as its loss change tells beyond its rate."""
        off = self._off(facts.tensor, Kind.LOSS_CHANGE) - (self._rate_off(facts) or 0.0)
        return off / self._degree(facts)

    def _own_rate(self, facts: Facts) -> None:
        tensor = facts.tensor
        rate = self._rate_off(facts)
        change = self._off(tensor, Kind.LOSS_CHANGE)
        wrong = self._wrong(tensor, Kind.LOSS_CHANGE)
        kinds = (
            Kind.LOSS_CHANGE,
            Kind.UPDATE_GAIN,
            Kind.RATE,
            Kind.EPS_SHARE,
            Kind.UPDATE_NORM,
        )
        swallowed = self._off(tensor, Kind.EPS_SHARE)
        decisive = any(
            self._wrong(tensor, kind) and self.measured.questions[tensor, kind].is_decisive
            for kind in (Kind.UPDATE_GAIN, Kind.RATE)
            if (tensor, kind) in self.decisions
        )
        is_epsilon = rate is not None and abs(rate - swallowed) <= SAME_POWER and decisive
        if swallowed and (wrong or is_epsilon):
            gradient = self.measured.gradients.get(tensor, swallowed)
            self._add(facts, Cause.EPSILON, {"Adam's ε": -gradient}, *kinds)
            return
        if self._is_wrong_at_init and rate is not None:
            is_bent = abs(rate) < BENT
            is_told_by_change = abs(change - rate) <= SAME_POWER
            if is_bent or ((tensor, Kind.RATE) in self.decisions and not is_told_by_change):
                return
        if rate and (wrong or decisive or self._masked(facts, rate)):
            self._add(facts, Cause.LEARNING_RATE, {"learning rate": rate}, *kinds)
        elif rate is None and wrong and not self.roots:
            self._add(facts, Cause.LEARNING_RATE, {"learning rate": change}, *kinds)

    def _masked(self, facts: Facts, rate: float) -> bool:
        """Whether a rate is off by what a root does to the gradient, so that the two cancel."""
        readouts = [
            root
            for root in self.roots.values()
            if root.cause.is_at_init
            and self.measured.facts.get(root.tensor, facts).role is Role.OUTPUT
        ]
        return any(
            abs(rate + self._degree(facts) * max(root.deviations.values())) <= SAME_POWER
            for root in readouts
        )

    def _clipping(self, failing: Sequence[str]) -> None:
        for tensor in failing:
            passed = self._off(tensor, Kind.GRADIENT_PASSED)
            facts = self.measured.facts[tensor]
            if passed and tensor not in self.roots:
                kinds = (Kind.LOSS_CHANGE, Kind.GRADIENT_PASSED)
                self._add(facts, Cause.CLIPPING, {"norm to clip at": passed}, *kinds)

    def _gradients(self, failing: Sequence[str]) -> None:
        """What is off by its gradient alone while nothing that it could follow from is wrong."""
        if self._is_wrong_at_init:
            return
        if not self.roots and self._are_one(failing):
            failing = failing[:1]
        for tensor in failing:
            is_late = self.measured.questions[tensor, Kind.LOSS_CHANGE].step > 1
            if tensor in self.roots or ((is_late or is_total(tensor)) and self.roots):
                continue  # what has no gradient at first has what the first update gave it
            facts = self.measured.facts[tensor]
            off = self._gradient_off(facts)
            if off:
                kinds = (Kind.LOSS_CHANGE,)
                self._add(facts, Cause.GRADIENT_SCALE, {"gradient": off}, *kinds)

    def _are_one(self, failing: Sequence[str]) -> bool:
        """Whether nearly every gradient of the model is off, and all by one power.

        Then one constant is, behind them all: of what the model gives, or of its loss.
        """
        asked = sum(kind is Kind.LOSS_CHANGE for _, kind in self.measured.questions)
        offs = [self._gradient_off(self.measured.facts[tensor]) for tensor in failing]
        alike = bool(offs) and max(offs) - min(offs) <= SAME_POWER and min(offs) * max(offs) > 0
        return alike and len(failing) >= (1 - MOST_APART) * asked

    def _norm(self, facts: Facts) -> None:
        """A weight or an update that is too large in a direction that no input has yet.

        Under descent it is as wrong as the gradient is, which may follow from another tensor.
        """
        descends = facts.update_rule is UpdateRule.SGD
        if facts.tensor in self.roots or (descends and self.roots):
            return
        what = {Kind.WEIGHT_NORM: "norm of the weights", Kind.UPDATE_NORM: "norm of the update"}
        off = {
            words: self._off(facts.tensor, kind)
            for kind, words in what.items()
            if self._wrong(facts.tensor, kind)
        }
        if off:
            self._add(facts, Cause.SPECTRAL_NORM, off, *NORMS)
