"""What is known about each op's scale: the laws to compare with, and the families to fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from umup_diag.scaling.formula import HARMONIC
from umup_diag.scaling.interpolation import ONE, LawFamily, Limit, formula, parameter
from umup_diag.scaling.quadrature import EXACT
from umup_diag.scaling.scale_laws import LAWS, ScaleLaw, Source

QUADRATURE = Source("exact", "umup_diag.scaling.quadrature")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpTheory:
    """What is known about one quantity of one op.

    Attributes:
        families: families to fit; the one that the data prefer is reported.
        laws: published and exact laws to compare with.
    """

    families: tuple[LawFamily, ...]
    laws: tuple[ScaleLaw, ...] = ()


def theory_of(op: str, quantity: str, parameters: Sequence[str]) -> OpTheory:
    """The theory of a quantity; an op that nobody has studied gets `general_families`."""
    laws = tuple(LAWS[name] for name in _LAWS_OF.get((op, quantity), ()))
    exact = EXACT.get((op, quantity))
    if exact is not None:
        laws += (_quadrature(exact),)
    families = _FAMILIES_OF.get((op, quantity)) or general_families(parameters)
    return OpTheory(families=families, laws=laws)


def general_families(parameters: Sequence[str]) -> tuple[LawFamily, ...]:
    """For an op that nothing is known of, from the simplest on.

    A constant; a power law; `log_interpolate` between two constants; and `log_interpolate` between
    two power laws.
    """
    terms = tuple(parameter(name) for name in parameters)
    constant = LawFamily(upper=Limit())
    if not terms:
        return (constant,)
    return (
        constant,
        LawFamily(upper=Limit(powers=terms)),
        LawFamily(upper=Limit(), lower=Limit(), ratios=terms),
        LawFamily(upper=Limit(powers=terms), lower=Limit(powers=terms), ratios=terms),
    )


def _quadrature(exact: Callable[..., float]) -> ScaleLaw:
    return ScaleLaw(
        name="exact", source=QUADRATURE, expression="Gaussian quadrature", formula=exact
    )


_SPREAD = formula("head_dim / alpha**2")
_LENGTH = parameter("seq_len")

# The limits for equal logits: of the output Σ 1/n, of the gradients of q and k Σ (1/n)(1 - 1/n),
# over n keys a position.
_FLAT = {
    "attention": formula(f"sqrt(({HARMONIC}) / seq_len)"),
    "full-attention": formula("sqrt(1 / seq_len)"),
}
_FLAT_GRADIENT = {
    "attention": formula(
        f"alpha * sqrt(({HARMONIC} - pi**2 / 6 + 1 / seq_len) / (seq_len * head_dim))"
    ),
    "full-attention": formula("alpha * sqrt((1 - 1 / seq_len) / (seq_len * head_dim))"),
}


def _attention_family(op: str) -> LawFamily:
    return LawFamily(
        upper=Limit(known=ONE, constant_free=False),
        lower=Limit(known=_FLAT[op], constant_free=False),
        ratios=(_SPREAD, _LENGTH),
    )


def _attention_gradient_family(op: str) -> LawFamily:
    return LawFamily(
        upper=Limit(known=formula("alpha / sqrt(head_dim)")),
        lower=Limit(known=_FLAT_GRADIENT[op], constant_free=False),
        ratios=(_SPREAD, _LENGTH),
    )


_SOFTMAX_FAMILY = LawFamily(
    upper=Limit(known=formula("1 / sqrt(size)"), constant_free=False),
    lower=Limit(known=formula("1 / size"), constant_free=False),
    ratios=(parameter("alpha"), parameter("size")),
)
_CROSS_ENTROPY_FAMILY = LawFamily(
    upper=Limit(known=formula(LAWS["cross-entropy.gradient"].expression))
)

_FAMILIES_OF: Mapping[tuple[str, str], tuple[LawFamily, ...]] = MappingProxyType(
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
        ("softmax", "output"): (_SOFTMAX_FAMILY,),
        ("cross-entropy", "gradient of logits"): (_CROSS_ENTROPY_FAMILY,),
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
