"""The published laws for an op's output scale, as data; plain Python, no tensors.

An op is *unit-scaled* by dividing its output by σ, the scale it gives to unit-normal inputs. Every
law here is that σ.

Parameter names: ``seq_len`` s, ``head_dim`` d_head, ``alpha`` the op's own multiplier
(α_attn-softmax, α_ffn-act, …), ``size`` the length of a softmax row, ``vocab_size`` V.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from umup_diag.scaling.formula import EULER_GAMMA, HARMONIC, compiled


@dataclass(frozen=True, slots=True)
class Source:
    """Where a law is from.

    Attributes:
        name: in a word or two.
        reference: the table, equation or file.
    """

    name: str
    reference: str


U_MUP = Source("u-µP", "u-µP (Blake et al. 2024), Table 4 and Appendix B")
UNIT_SCALING = Source("unit-scaling", "graphcore-research/unit-scaling 0.3.5, functional.py")
REFIT = Source("refit", "refit (docs/scale_laws.md)")
CLOSED_FORM = Source("closed form", "the closed form")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLaw:
    """One published law: what to compute, and where it comes from.

    Attributes:
        name: unique, ``op`` or ``op.gradient``.
        source: where it is from.
        expression: one line of Python, over `log_interpolate` and ``math``.
        formula: takes the parameters by keyword and returns σ.
    """

    name: str
    source: Source
    expression: str
    formula: Callable[..., float]

    @classmethod
    def of(cls, name: str, source: Source, expression: str) -> "ScaleLaw":
        """The law that computes what its expression says."""
        return cls(name=name, source=source, expression=expression, formula=compiled(expression))

    def __call__(self, **parameters: float) -> float:
        """σ at one point."""
        return self.formula(**parameters)


_GATE = "log_interpolate(1 / (1 + 1 / alpha**2), 1 / sqrt(2), 1 / 2)"
_CENTRED = "log_interpolate(1 / (1 + 0.25 / alpha**2), sqrt((1 - 1 / pi) / 2), 1 / 2)"
_RELU = "1 / sqrt(2)"  # half of the elements survive

_LAWS = (
    # A single position attends to itself, so σ is 1; √(log s / s) would be 0.
    ScaleLaw.of(
        "attention",
        U_MUP,
        "log_interpolate(1 / (1 + 4 * head_dim / alpha**2), 1, sqrt(log(seq_len) / seq_len))"
        " if seq_len > 1 else 1",
    ),
    ScaleLaw.of(
        "full-attention",
        UNIT_SCALING,
        "log_interpolate(1 / (1 + 4 * head_dim / alpha**2), 1, sqrt(1 / seq_len))",
    ),
    # A third of the published laws' worst error or less: the flat limit is exact, and the weight
    # knows that a longer row of logits takes larger ones to become one-hot.
    ScaleLaw.of(
        "attention.refit",
        REFIT,
        "log_interpolate(1 / (1 + 3.777 * seq_len**0.05531 * (head_dim / alpha**2)**1.075), 1, "
        f"sqrt(({HARMONIC}) / seq_len)) if seq_len > 1 else 1",
    ),
    ScaleLaw.of(
        "full-attention.refit",
        REFIT,
        "log_interpolate(1 / (1 + 3.382 * seq_len**0.07375 * (head_dim / alpha**2)**1.183), 1, "
        "sqrt(1 / seq_len))",
    ),
    ScaleLaw.of("gated-silu", U_MUP, _GATE),
    # Of SiLU and GELU the library's laws are standard deviations; their outputs' means are not 0.
    ScaleLaw.of("silu", UNIT_SCALING, _CENTRED),
    ScaleLaw.of("silu.gradient", UNIT_SCALING, _GATE),
    ScaleLaw.of("gelu", UNIT_SCALING, _CENTRED),
    ScaleLaw.of(
        "gelu.gradient",
        UNIT_SCALING,
        "log_interpolate(1 / (1 + 0.25 / alpha**2), 1 / sqrt(2), 1 / 2)",
    ),
    ScaleLaw.of("relu", CLOSED_FORM, _RELU),
    ScaleLaw.of("relu.gradient", CLOSED_FORM, _RELU),
    ScaleLaw.of(
        "softmax",
        UNIT_SCALING,
        "log_interpolate(1 / (1 + 4 / alpha**2), 1 / sqrt(size), 1 / size)",
    ),
    ScaleLaw.of(
        "softmax.gradient",
        UNIT_SCALING,
        "log_interpolate(1 / (1 + 4 / alpha**2), sqrt(alpha / size), alpha / size)",
    ),
    # Of the summed loss; exact for equal logits: a row is 1/V everywhere and 1/V - 1 at the target.
    ScaleLaw.of(
        "cross-entropy.gradient",
        Source("closed form", "the closed form at equal logits; also unit-scaling 0.3.5"),
        "sqrt(vocab_size - 1) / vocab_size",
    ),
)

LAWS: Mapping[str, ScaleLaw] = MappingProxyType({law.name: law for law in _LAWS})


def attention_scale(
    *, seq_len: int, head_dim: int, alpha: float = 1.0, causal: bool = True
) -> float:
    """σ of ``softmax(alpha / head_dim · q kᵀ) v``, averaged over positions (u-µP, Table 4).

    Without a mask it is the unit-scaling library's.
    """
    law = LAWS["attention" if causal else "full-attention"]
    return law(seq_len=seq_len, head_dim=head_dim, alpha=alpha)


def harmonic(n: int) -> float:
    """The harmonic number H_n = 1 + 1/2 + … + 1/n, to double precision, for n ≥ 1."""
    if n < 32:
        return math.fsum(1 / i for i in range(1, n + 1))
    return math.log(n) + EULER_GAMMA + 1 / (2 * n) - 1 / (12 * n**2) + 1 / (120 * n**4)
