"""How residual branches are weighted: one rule a scheme, as data.

L counts residual sub-layers: attention and FFN each count one, so L = 2 × transformer layers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import sqrt


class ResidualMeaning(Enum):
    """What α_residual = 1 asks for; the two official codebases differ by √2.

    Attributes:
        TOTAL: RMS of *all* residual contributions over the embedding's. What the u-µP paper says
            (D.1.1), and the default of Aleph Alpha's code.
        AVERAGE: RMS of the *mean square of the attention and the FFN total* over the embedding's,
            as in the unit-scaling library, so that at the defaults embedding, attention and FFN
            contribute alike and all residual contributions together are √2 of the embedding's.
    """

    TOTAL = "total"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class ResidualWeights:
    """stream ← branch · f(stream) + skip · stream."""

    branch: float
    skip: float


def residual_add_weights(tau: float) -> ResidualWeights:
    """The weights that keep the stream's variance at 1 (u-µP, Table 4, eq. 8).

    Args:
        tau: variance of the branch over that of the stream, as in the paper; the unit-scaling
            library's is the ratio of standard deviations, the square root of this one.
    """
    return ResidualWeights(branch=sqrt(tau / (tau + 1)), skip=sqrt(1 / (tau + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualShape:
    """What a residual rule may depend on.

    Attributes:
        layers: transformer layers.
        base_layers: those at which a relative rule is neutral.
        branch: power of depth in a branch's weight.
        tau: share of the stream's variance that a branch takes, where that is fixed.
        alpha: α_residual.
        attn_ratio: α_residual-attn-ratio, attention's contribution over the FFN's.
        meaning: of `alpha`.
    """

    layers: int
    base_layers: int | None = None
    branch: float = 0.0
    tau: float = 0.4
    alpha: float = 1.0
    attn_ratio: float = 1.0
    meaning: ResidualMeaning = ResidualMeaning.TOTAL

    @property
    def alphas(self) -> tuple[float, float]:
        """(α̂_attn, α̂_ffn), equations (23) and (24)."""
        ffn = sqrt(2 / (self.attn_ratio**2 + 1)) * self.alpha
        return ffn * self.attn_ratio, ffn


def _sum(shape: ResidualShape) -> list[ResidualWeights]:
    """Plain pre-norm: every branch at its α̂ times the scheme's power of depth."""
    factor = (shape.layers / (shape.base_layers or 1)) ** shape.branch
    return [ResidualWeights(alpha * factor, 1.0) for alpha in shape.alphas * shape.layers]


def _fixed(shape: ResidualShape) -> list[ResidualWeights]:
    """µnit Scaling: one τ in every layer, so that the last branches weigh most.

    The paper finds smaller values better in deeper models and gives no rule for them.
    """
    return [ResidualWeights(sqrt(shape.tau), sqrt(1 - shape.tau))] * (2 * shape.layers)


def _unit(shape: ResidualShape) -> list[ResidualWeights]:
    """u-µP: the same function as r_l = α̂/√L on a plain stream, at unit variance throughout.

    τ_l is the branch's variance over the stream's (eq. 12), here accumulated rather than in closed
    form. The paper's closed form, eq. (22), prints (1/√L)·α̂/(1 + l·α̂_a + l·α̂_f): the squares are
    missing, and 1/L belongs inside, as L + ℓ·α̂_a² + ℓ·α̂_f² in the denominator. The stream's
    variance is 1 under either, so only the contributions show it: at L = 64 and α_residual = 4 the
    printed form realises 1.25.
    """
    sublayers = 2 * shape.layers
    count = {ResidualMeaning.TOTAL: sublayers, ResidualMeaning.AVERAGE: sublayers / 2}
    weights = []
    stream = 1.0  # variance of the plain stream, the embedding's being 1
    for alpha in shape.alphas * shape.layers:
        branch = alpha**2 / count[shape.meaning]
        weights.append(residual_add_weights(tau=branch / stream))
        stream += branch
    return weights


#: rule → the weights of each sub-layer, attention first.
RESIDUAL_RULES: Mapping[str, Callable[[ResidualShape], list[ResidualWeights]]] = {
    "sum": _sum,
    "fixed": _fixed,
    "unit": _unit,
}
