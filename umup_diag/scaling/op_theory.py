"""What is known about each op's scale: the laws to compare with, and the families to fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, pi, sqrt
from types import MappingProxyType

from umup_diag.scaling.interpolation import ONE, Family, Limit, Term, parameter
from umup_diag.scaling.quadrature import EXACT
from umup_diag.scaling.scale_laws import EULER_GAMMA, LAWS, ScaleLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Theory:
    """What is known about one quantity of one op.

    Attributes:
        families: families to fit; the one that the data prefer is reported.
        laws: published and exact laws to compare with.
    """

    families: tuple[Family, ...]
    laws: tuple[ScaleLaw, ...] = ()


def theory_of(op: str, quantity: str, parameters: Sequence[str]) -> Theory:
    """The theory of a quantity; an op that nobody has studied gets `general_families`."""
    laws = tuple(LAWS[name] for name in _LAWS_OF.get((op, quantity), ()))
    exact = EXACT.get((op, quantity))
    if exact is not None:
        laws += (_quadrature(exact, parameters),)
    families = _FAMILIES_OF.get((op, quantity)) or general_families(parameters)
    return Theory(families=families, laws=laws)


def general_families(parameters: Sequence[str]) -> tuple[Family, ...]:
    """For an op that nothing is known of, from the simplest on.

    A constant; `log_interpolate` between two constants; a power law; and `log_interpolate` between
    two power laws.
    """
    terms = tuple(parameter(name) for name in parameters)
    constant = Family(upper=Limit())
    if not terms:
        return (constant,)
    return (
        constant,
        Family(upper=Limit(powers=terms)),
        Family(upper=Limit(), lower=Limit(), ratios=terms),
        Family(upper=Limit(powers=terms), lower=Limit(powers=terms), ratios=terms),
    )


def _quadrature(exact: Callable[..., float], parameters: Sequence[str]) -> ScaleLaw:
    return ScaleLaw(
        name="exact",
        formula=exact,
        expression="Gaussian quadrature",
        parameters=tuple(parameters),
        exact=True,
        source="umup_diag.scaling.quadrature",
    )


_SPREAD = Term(text="head_dim / alpha**2", of=lambda p: p["head_dim"] / p["alpha"] ** 2)
_LENGTH = parameter("seq_len")


def _harmonic(seq_len: float) -> float:
    return log(seq_len) + EULER_GAMMA + 0.5 / seq_len


# Σ 1/n and Σ (1/n)(1 - 1/n) over positions n, to the first terms of their expansions: below 3e-5
# from 64 positions on.
_FLAT = {
    "attention": Term(
        text="sqrt((log(seq_len) + 0.5772 + 0.5 / seq_len) / seq_len)",
        of=lambda p: sqrt(_harmonic(p["seq_len"]) / p["seq_len"]),
    ),
    "full-attention": Term(
        text="sqrt(1 / seq_len)",
        of=lambda p: sqrt(1 / p["seq_len"]),
    ),
}
_FLAT_GRADIENT = {
    "attention": Term(
        text=(
            "alpha * sqrt((log(seq_len) + 0.5772 - pi**2 / 6 + 1.5 / seq_len)"
            " / (seq_len * head_dim))"
        ),
        of=lambda p: (
            p["alpha"]
            * sqrt(
                (_harmonic(p["seq_len"]) - pi**2 / 6 + 1 / p["seq_len"])
                / (p["seq_len"] * p["head_dim"])
            )
        ),
    ),
    "full-attention": Term(
        text="alpha * sqrt((1 - 1 / seq_len) / (seq_len * head_dim))",
        of=lambda p: p["alpha"] * sqrt((1 - 1 / p["seq_len"]) / (p["seq_len"] * p["head_dim"])),
    ),
}
_LOGIT_SCALE = Term(text="alpha / sqrt(head_dim)", of=lambda p: p["alpha"] / sqrt(p["head_dim"]))


def _attention_family(op: str) -> Family:
    return Family(
        upper=Limit(known=ONE, constant_free=False),
        lower=Limit(known=_FLAT[op], constant_free=False),
        ratios=(_SPREAD, _LENGTH),
    )


def _attention_gradient_family(op: str) -> Family:
    return Family(
        upper=Limit(known=_LOGIT_SCALE),
        lower=Limit(known=_FLAT_GRADIENT[op], constant_free=False),
        ratios=(_SPREAD, _LENGTH),
    )


def _softmax_family() -> Family:
    return Family(
        upper=Limit(
            known=Term(text="1 / sqrt(size)", of=lambda p: 1 / sqrt(p["size"])), constant_free=False
        ),
        lower=Limit(known=Term(text="1 / size", of=lambda p: 1 / p["size"]), constant_free=False),
        ratios=(parameter("alpha"), parameter("size")),
    )


def _cross_entropy_family() -> Family:
    known = Term(
        text="sqrt(vocab_size - 1) / vocab_size",
        of=lambda p: sqrt(p["vocab_size"] - 1) / p["vocab_size"],
    )
    return Family(upper=Limit(known=known))


_FAMILIES_OF: Mapping[tuple[str, str], tuple[Family, ...]] = MappingProxyType(
    {
        **{
            (op, quantity): (family(op),)
            for op in ("attention", "full-attention")
            for quantity, family in (
                ("output", _attention_family),
                ("gradient of v", _attention_family),
                ("gradient of q", _attention_gradient_family),
                ("gradient of k", _attention_gradient_family),
            )
        },
        ("softmax", "output"): (_softmax_family(),),
        ("cross-entropy", "gradient of logits"): (_cross_entropy_family(),),
    }
)

# The gradient of v has exactly the output's scale; those of q and k do not.
_ALIKE = ("output", "gradient of v")
_LAWS_OF: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        # The paper divides every gradient by the output's law (β = α), and so is compared with it.
        **{
            (op, quantity): (op, f"{op}.refit") if quantity in _ALIKE else (op,)
            for op in ("attention", "full-attention")
            for quantity in ("output", "gradient of q", "gradient of k", "gradient of v")
        },
        ("gated-silu", "output"): ("gated-silu",),
        ("gated-silu", "gradient of x_in"): ("gated-silu",),
        ("gated-silu", "gradient of x_gate"): ("gated-silu",),
        ("silu", "output (std)"): ("silu",),
        ("silu", "gradient of x"): ("silu.gradient",),
        ("gelu", "output (std)"): ("gelu",),
        ("gelu", "gradient of x"): ("gelu.gradient",),
        ("relu", "output"): ("relu",),
        ("relu", "gradient of x"): ("relu.gradient",),
        ("softmax", "output"): ("softmax",),
        ("softmax", "gradient of x"): ("softmax.gradient",),
        ("cross-entropy", "gradient of logits"): ("cross-entropy.gradient",),
    }
)
