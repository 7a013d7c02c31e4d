"""The width slopes that a scheme implies, derived from its exponents and nothing else.

The model is a pre-norm residual network with normalised inputs to its linears. Write b, a, a′, a″
for the exponents of init, forward multiplier, and the multipliers towards input and weight, and
let a sum over n terms count n^½ when they are independent and n^1 when they are aligned. Then the
slopes of log RMS against log width follow by adding exponents, as each function below does in the
open.
"""

from dataclasses import dataclass

from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Role
from umup_diag.scaling.scheme import Exponents, Scheme
from umup_diag.scaling.update_rules import RULES, UpdateRule

INDEPENDENT, ALIGNED = 0.5, 1.0  # what a sum over width adds to a slope


@dataclass(frozen=True, slots=True)
class Prediction:
    """The slope of a sum of powers of width.

    Attributes:
        slope: of the dominant term, reached as width goes to infinity.
        slowest: of the lowest term; at any finite width the measured slope of the sum lies
            between the two.
    """

    slope: float
    slowest: float

    @classmethod
    def of(cls, *terms: float) -> "Prediction":
        """The prediction for a sum of powers with these exponents."""
        return cls(max(terms), min(terms))

    def __add__(self, exponent: float) -> "Prediction":
        return Prediction(self.slope + exponent, self.slowest + exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthTheory:
    """A scheme, an optimizer and a head-dimension rule: enough to predict every slope.

    Attributes:
        scheme: the parametrization.
        update_rule: of the optimizer.
        head_dim_growth: slope of log d_head against log width: 0 for a fixed head dimension, 1 for
            a fixed number of heads.
    """

    scheme: Scheme
    update_rule: UpdateRule
    head_dim_growth: float = 0.0

    def _row(self, role: Role) -> Exponents:
        return self.scheme.rows[role]

    @property
    def trunk_gradient(self) -> float:
        """Slope of the gradient that the readout sends into the trunk: a sum over the vocabulary.

        Hidden layers hand it on unchanged: a′ + b + ½ is 0 for them in every scheme (tested).
        """
        readout = self._row(Role.OUTPUT)
        return readout.backward + readout.init

    def predict(self, kind: Kind, role: Role) -> Prediction | None:
        """Slope of `kind` for a tensor of `role`; None where theory is silent."""
        match kind, role:
            case Kind.WEIGHT, _:
                return Prediction.of(self._row(role).init)
            case Kind.WEIGHT_GRAD, _:
                return self._weight_grad(role)
            case Kind.UPDATE, _:
                return self._update(role)
            case Kind.WEIGHT_NORM | Kind.UPDATE_NORM, Role.VECTOR:
                return None
            case Kind.WEIGHT_NORM, _:
                return self._weight_norm(role)
            case Kind.UPDATE_NORM, _:
                return Prediction.of(self._update_norm(role))
            case Kind.ATTENTION_LOGITS, _:
                return Prediction.of((self.scheme.head_dim + INDEPENDENT) * self.head_dim_growth)
            case _, Role.VECTOR:
                return None
            case Kind.INPUT, Role.INPUT:
                return None
            case Kind.INPUT, _:
                return Prediction.of(0.0)
            case Kind.OUTPUT, _:
                return Prediction.of(self._output(role))
            case Kind.GRAD_OUTPUT, _:
                return self._grad_output(role)
            case Kind.OUTPUT_CHANGE, _:
                return self.output_change(role)
            case _:  # measured of a layer or an update: needs no theory of the network
                return None

    def _output(self, role: Role) -> float:
        row = self._row(role)
        return row.multiplier + row.init + (0.0 if role is Role.INPUT else INDEPENDENT)

    def _grad_output(self, role: Role) -> Prediction:
        if role is Role.OUTPUT:
            return Prediction.of(0.0)
        # Queries and keys get theirs through the softmax: d_head's power, and a sum over it.
        softmax = (self.scheme.head_dim + INDEPENDENT) * self.head_dim_growth
        return Prediction.of(self.trunk_gradient, self.trunk_gradient + min(softmax, 0.0))

    def _weight_grad(self, role: Role) -> Prediction:
        incoming = self._grad_output(role)
        return incoming + self._row(role).backward_weight

    def _update(self, role: Role) -> Prediction:
        """RMS of its entries: the rate, times what the rule makes of the gradient."""
        lr = self._row(role).lr(self._rule(role))
        size = RULES[self._rule(role)]
        if size.gradient:
            return self._weight_grad(role) + lr
        # Entries of one size stay so at any rank; singular values of one size are min(fans) of them
        # at most, and of a small batch no more than it has tokens.
        of_rank_one = size.norm[role] - (0.0 if role is Role.INPUT else ALIGNED)
        return Prediction.of(lr + size.rms[role], lr + of_rank_one)

    def _weight_norm(self, role: Role) -> Prediction:
        """RMS operator norm of the initial weights, multiplied.

        √(fan-in/fan-out) times ‖W‖₂, which of independent entries is √fan-in + √fan-out of one.
        """
        row = self._row(role)
        fan_in, fan_out = role is not Role.INPUT, role is not Role.OUTPUT  # powers: 1 or 0
        terms = (fan_in / 2, fan_out / 2)
        ratio = row.multiplier + row.init + (fan_in - fan_out) / 2
        return Prediction.of(*(ratio + term for term in terms))

    def _update_norm(self, role: Role) -> float:
        """RMS operator norm of an update, multiplied: tokens have its leading direction in common.

        What a layer's update does to the input that made it is as large as it can be.
        """
        return self._row(role).multiplier + self._update(role).slope + self._aligned(role)

    def _rule(self, role: Role) -> UpdateRule:
        """Muon and its like train hidden matrices, and Adam the rest, as is usual."""
        is_matrix = role is Role.HIDDEN or self.update_rule is UpdateRule.SGD
        return self.update_rule if is_matrix else UpdateRule.ADAM

    def _aligned(self, role: Role) -> float:
        """What a layer's sum over its inputs adds to its update's RMS: those are aligned.

        An orthogonalised update is of full rank: its entries are smaller by √width than those of
        an update of rank one that does as much.
        """
        rule = RULES[self._rule(role)]
        return rule.norm[role] - rule.rms[role]

    def output_change(self, role: Role) -> Prediction:
        """Slope of ΔA after the first updates, while they are small.

        Embedding: a · ΔW. Hidden: a · ΔW · x, aligned; or the embedding's change, carried on by
        the initial weights. Readout: a · ΔW · x, aligned; and a · W · Δx, of which one part is
        aligned (W made Δx through the gradient) and one is not, half a power below.
        """
        row = self._row(role)
        embedding = self._row(Role.INPUT).multiplier + self._update(Role.INPUT).slope
        if role is Role.INPUT:
            return Prediction.of(embedding)
        own = self._update_norm(role)
        if role is Role.HIDDEN:
            return Prediction.of(own, embedding)
        hidden = self.output_change(Role.HIDDEN).slope
        initial = row.multiplier + row.init + hidden
        return Prediction.of(own, initial + ALIGNED, initial + INDEPENDENT)

    @property
    def attention_logits_change(self) -> Prediction:
        """Slope of the change of the attention logits: q · Δk, aligned, and as slow as Δq, Δk."""
        hidden = self.output_change(Role.HIDDEN)
        aligned = (self.scheme.head_dim + ALIGNED) * self.head_dim_growth
        independent = (self.scheme.head_dim + INDEPENDENT) * self.head_dim_growth
        return Prediction.of(hidden.slope + aligned, hidden.slowest + independent)
