"""The published laws for an op's output scale, as data; plain Python, no tensors.

An op is *unit-scaled* by dividing its output by σ, the scale it gives to unit-normal inputs. Every
function here returns that σ, so a model writes ``attention(...) / attention_scale(...)``.

Parameter names: ``seq_len`` s, ``head_dim`` d_head, ``alpha`` the op's own multiplier
(α_attn-softmax, α_ffn-act, …), ``size`` the length of a softmax row, ``vocab_size`` V.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

U_MUP = "u-µP (Blake et al. 2024), Table 4 and Appendix B"
UNIT_SCALING = "graphcore-research/unit-scaling 0.3.5, functional.py"
REFIT = "refit (docs/scale_laws.md)"
EULER_GAMMA = 0.5772156649015329


def log_interpolate(alpha: float, upper: float, lower: float) -> float:
    """Interpolate geometrically: ``upper`` at ``alpha`` = 1, ``lower`` at ``alpha`` = 0.

    The argument order is the paper's (Appendix B); the unit-scaling library's is
    ``(alpha, lower, upper)``. Both limits must be positive.
    """
    return math.exp(alpha * math.log(upper) + (1 - alpha) * math.log(lower))


def harmonic(n: int) -> float:
    """The harmonic number H_n = 1 + 1/2 + … + 1/n, to double precision, for n ≥ 1."""
    if n < 32:
        return math.fsum(1 / i for i in range(1, n + 1))
    return math.log(n) + EULER_GAMMA + 1 / (2 * n) - 1 / (12 * n**2) + 1 / (120 * n**4)


def attention_scale(
    *, seq_len: int, head_dim: int, alpha: float = 1.0, causal: bool = True
) -> float:
    """σ of ``softmax(alpha / head_dim · q kᵀ) v``, averaged over positions (u-µP, Table 4).

    The non-causal flat limit √(1/s) is the unit-scaling library's. A single position attends to
    itself, so σ is then exactly 1 (the paper's √(log s / s) would be 0).
    """
    if seq_len == 1:
        return 1.0
    flat = math.sqrt((math.log(seq_len) if causal else 1.0) / seq_len)
    return log_interpolate(1 / (1 + 4 * head_dim / alpha**2), 1.0, flat)


def refit_attention_scale(
    *, seq_len: int, head_dim: int, alpha: float = 1.0, causal: bool = True
) -> float:
    """The same σ, by constants refitted here: a third of the published law's worst error or less.

    The flat limit is exact (H_s ≈ log s + γ + 1/2s), and the weight knows that a longer row of
    logits takes longer to become one-hot. Found and validated in ``docs/scale_laws.md``.
    """
    if seq_len == 1:
        return 1.0
    spread = head_dim / alpha**2
    if causal:
        weight = 1 / (1 + 3.777 * seq_len**0.05531 * spread**1.075)
        harmonic_number = math.log(seq_len) + EULER_GAMMA + 0.5 / seq_len
        return log_interpolate(weight, 1.0, math.sqrt(harmonic_number / seq_len))
    weight = 1 / (1 + 3.382 * seq_len**0.07375 * spread**1.183)
    return log_interpolate(weight, 1.0, math.sqrt(1 / seq_len))


def gated_silu_scale(alpha: float = 1.0) -> float:
    """σ of ``x_in · x_gate · sigmoid(alpha · x_gate)`` (u-µP, Table 4)."""
    return log_interpolate(1 / (1 + 1 / alpha**2), 1 / math.sqrt(2), 1 / 2)


def silu_scale(alpha: float = 1.0) -> float:
    """Standard deviation (not RMS) of ``x · sigmoid(alpha · x)`` (unit-scaling library)."""
    return log_interpolate(1 / (1 + 0.25 / alpha**2), math.sqrt((1 - 1 / math.pi) / 2), 1 / 2)


def silu_grad_scale(alpha: float = 1.0) -> float:
    """σ of the gradient through ``x · sigmoid(alpha · x)`` (unit-scaling library)."""
    return log_interpolate(1 / (1 + 1 / alpha**2), 1 / math.sqrt(2), 1 / 2)


def gelu_scale(alpha: float = 1.0) -> float:
    """Standard deviation (not RMS) of ``gelu(alpha · x) / alpha`` (unit-scaling library)."""
    return silu_scale(alpha)


def gelu_grad_scale(alpha: float = 1.0) -> float:
    """σ of the gradient through ``gelu(alpha · x) / alpha`` (unit-scaling library)."""
    return log_interpolate(1 / (1 + 0.25 / alpha**2), 1 / math.sqrt(2), 1 / 2)


def relu_scale() -> float:
    """RMS of ``relu(x)`` and of its gradient: half of the elements survive, so exactly 1/√2."""
    return 1 / math.sqrt(2)


def softmax_scale(*, size: int, alpha: float = 1.0) -> float:
    """RMS of ``softmax(alpha · x)`` over a row of ``size`` logits (unit-scaling library)."""
    return log_interpolate(1 / (1 + 4 / alpha**2), 1 / math.sqrt(size), 1 / size)


def softmax_grad_scale(*, size: int, alpha: float = 1.0) -> float:
    """σ of the gradient through ``softmax(alpha · x)`` (unit-scaling library)."""
    return log_interpolate(1 / (1 + 4 / alpha**2), math.sqrt(alpha / size), alpha / size)


def cross_entropy_grad_scale(*, vocab_size: int) -> float:
    """RMS of the gradient of the summed cross-entropy to its logits: √(V-1)/V.

    Exact for equal logits, where each row is 1/V everywhere and 1/V - 1 at the target.
    """
    return math.sqrt(vocab_size - 1) / vocab_size


def residual_add_weights(tau: float = 1.0) -> tuple[float, float]:
    """The weights (a, b) of ``a · residual + b · skip`` that keep it unit (u-µP, Table 4, eq. 8).

    ``tau`` is the ratio of the two branches' *variances*, as in the paper; the unit-scaling
    library's ``tau`` is the ratio of standard deviations, the square root of this one.
    """
    return math.sqrt(tau / (tau + 1)), math.sqrt(1 / (tau + 1))


class Statistic(StrEnum):
    """What a law predicts: they differ when the output's mean is not zero."""

    RMS = "rms"
    STD = "std"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLaw:
    """One published law: what to compute, where it comes from, where it was found to hold.

    Attributes:
        name: unique, ``op`` or ``op.gradient``.
        formula: takes ``parameters`` by keyword and returns σ.
        expression: the same in one line of Python, over `log_interpolate` and ``math``.
        parameters: the names that ``formula`` takes, in order.
        statistic: whether σ is an RMS or a standard deviation.
        exact: whether it is a theorem and not a fit.
        source: the table, equation or file it is from.
        valid: inclusive range of each parameter in which its error was measured.
    """

    name: str
    formula: Callable[..., float]
    expression: str
    parameters: tuple[str, ...] = ()
    statistic: Statistic = Statistic.RMS
    exact: bool = False
    source: str
    valid: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))

    def __call__(self, **parameters: float) -> float:
        """σ at one point; takes exactly `parameters`."""
        return self.formula(**parameters)

    def covers(self, **parameters: float) -> bool:
        """Whether a point lies in the range of validity."""
        return all(
            low <= parameters[name] <= high
            for name, (low, high) in self.valid.items()
            if name in parameters
        )


def _attention(seq_len: float, head_dim: float, alpha: float = 1.0) -> float:
    return attention_scale(seq_len=int(seq_len), head_dim=int(head_dim), alpha=alpha, causal=True)


def _full_attention(seq_len: float, head_dim: float, alpha: float = 1.0) -> float:
    return attention_scale(seq_len=int(seq_len), head_dim=int(head_dim), alpha=alpha, causal=False)


def _refit_attention(seq_len: float, head_dim: float, alpha: float = 1.0) -> float:
    return refit_attention_scale(seq_len=int(seq_len), head_dim=int(head_dim), alpha=alpha)


def _refit_full_attention(seq_len: float, head_dim: float, alpha: float = 1.0) -> float:
    return refit_attention_scale(
        seq_len=int(seq_len), head_dim=int(head_dim), alpha=alpha, causal=False
    )


_ATTENTION_GRID = {"seq_len": (64.0, 4096.0), "head_dim": (16.0, 128.0), "alpha": (1 / 16, 16.0)}
_ANY_ALPHA = {"alpha": (1 / 64, 64.0)}

_LAWS = (
    ScaleLaw(
        name="attention",
        formula=_attention,
        expression=(
            "log_interpolate(1 / (1 + 4 * head_dim / alpha**2), 1, sqrt(log(seq_len) / seq_len))"
        ),
        parameters=("seq_len", "head_dim", "alpha"),
        source=U_MUP,
        valid=_ATTENTION_GRID,
    ),
    ScaleLaw(
        name="full-attention",
        formula=_full_attention,
        expression="log_interpolate(1 / (1 + 4 * head_dim / alpha**2), 1, sqrt(1 / seq_len))",
        parameters=("seq_len", "head_dim", "alpha"),
        source=UNIT_SCALING,
        valid=_ATTENTION_GRID,
    ),
    ScaleLaw(
        name="attention.refit",
        formula=_refit_attention,
        expression=(
            "log_interpolate(1 / (1 + 3.777 * seq_len**0.05531 * (head_dim / alpha**2)**1.075), 1, "
            "sqrt((log(seq_len) + 0.5772156649015329 + 0.5 / seq_len) / seq_len))"
        ),
        parameters=("seq_len", "head_dim", "alpha"),
        source=REFIT,
        valid=_ATTENTION_GRID,
    ),
    ScaleLaw(
        name="full-attention.refit",
        formula=_refit_full_attention,
        expression=(
            "log_interpolate(1 / (1 + 3.382 * seq_len**0.07375 * (head_dim / alpha**2)**1.183), 1, "
            "sqrt(1 / seq_len))"
        ),
        parameters=("seq_len", "head_dim", "alpha"),
        source=REFIT,
        valid=_ATTENTION_GRID,
    ),
    ScaleLaw(
        name="gated-silu",
        formula=gated_silu_scale,
        expression="log_interpolate(1 / (1 + 1 / alpha**2), 1 / sqrt(2), 1 / 2)",
        parameters=("alpha",),
        source=U_MUP,
        valid=_ANY_ALPHA,
    ),
    ScaleLaw(
        name="silu",
        formula=silu_scale,
        expression="log_interpolate(1 / (1 + 0.25 / alpha**2), sqrt((1 - 1 / pi) / 2), 1 / 2)",
        parameters=("alpha",),
        statistic=Statistic.STD,
        source=UNIT_SCALING,
        valid=_ANY_ALPHA,
    ),
    ScaleLaw(
        name="silu.gradient",
        formula=silu_grad_scale,
        expression="log_interpolate(1 / (1 + 1 / alpha**2), 1 / sqrt(2), 1 / 2)",
        parameters=("alpha",),
        source=UNIT_SCALING,
        valid=_ANY_ALPHA,
    ),
    ScaleLaw(
        name="gelu",
        formula=gelu_scale,
        expression="log_interpolate(1 / (1 + 0.25 / alpha**2), sqrt((1 - 1 / pi) / 2), 1 / 2)",
        parameters=("alpha",),
        statistic=Statistic.STD,
        source=UNIT_SCALING,
        valid=_ANY_ALPHA,
    ),
    ScaleLaw(
        name="gelu.gradient",
        formula=gelu_grad_scale,
        expression="log_interpolate(1 / (1 + 0.25 / alpha**2), 1 / sqrt(2), 1 / 2)",
        parameters=("alpha",),
        source=UNIT_SCALING,
        valid=_ANY_ALPHA,
    ),
    ScaleLaw(
        name="relu", formula=relu_scale, expression="1 / sqrt(2)", exact=True, source="closed form"
    ),
    ScaleLaw(
        name="relu.gradient",
        formula=relu_scale,
        expression="1 / sqrt(2)",
        exact=True,
        source="closed form",
    ),
    ScaleLaw(
        name="softmax",
        formula=lambda size, alpha=1.0: softmax_scale(size=int(size), alpha=alpha),
        expression="log_interpolate(1 / (1 + 4 / alpha**2), 1 / sqrt(size), 1 / size)",
        parameters=("size", "alpha"),
        source=UNIT_SCALING,
    ),
    ScaleLaw(
        name="softmax.gradient",
        formula=lambda size, alpha=1.0: softmax_grad_scale(size=int(size), alpha=alpha),
        expression="log_interpolate(1 / (1 + 4 / alpha**2), sqrt(alpha / size), alpha / size)",
        parameters=("size", "alpha"),
        source=UNIT_SCALING,
    ),
    ScaleLaw(
        name="cross-entropy.gradient",
        formula=lambda vocab_size: cross_entropy_grad_scale(vocab_size=int(vocab_size)),
        expression="sqrt(vocab_size - 1) / vocab_size",
        parameters=("vocab_size",),
        exact=True,
        source="closed form at equal logits; also unit-scaling 0.3.5",
    ),
    ScaleLaw(
        name="residual-add",
        formula=lambda tau=1.0: math.hypot(*residual_add_weights(tau)),
        expression="hypot(sqrt(tau / (tau + 1)), sqrt(1 / (tau + 1)))",
        parameters=("tau",),
        exact=True,
        source=U_MUP,
    ),
)

LAWS: Mapping[str, ScaleLaw] = MappingProxyType({law.name: law for law in _LAWS})
