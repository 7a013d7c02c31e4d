"""Parametrizations as tables: how init, multiplier and learning rate go with width.

Every scheme is a row of data. What a scheme predicts is derived from its row
(`umup_diag.scaling.predictions`); what it asks of a model or an optimizer is computed from it
(`Scheme.scales`). Neither needs to know which scheme it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from umup_diag.errors import InputError
from umup_diag.scaling.roles import Role


class UpdateRule(StrEnum):
    """How an optimizer's update goes with the scale of its gradient."""

    ADAM = "adam"  #: not at all: Adam, AdamW, sign descent
    SGD = "sgd"  #: in proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponents:
    """Powers of width for one role; see `Scheme.scales` for what they multiply.

    Attributes:
        init: of the initial standard deviation.
        multiplier: of the forward multiplier.
        adam_lr: of the learning rate under Adam.
        sgd_lr: of the learning rate under SGD.
        grad_input: of the multiplier on the gradient towards the input, and
        grad_weight: towards the weight; None where autograd applies the forward multiplier.
    """

    init: float = 0.0
    multiplier: float = 0.0
    adam_lr: float = 0.0
    sgd_lr: float = 0.0
    grad_input: float | None = None
    grad_weight: float | None = None

    def lr(self, rule: UpdateRule) -> float:
        """Exponent of the learning rate under an update rule."""
        return {UpdateRule.ADAM: self.adam_lr, UpdateRule.SGD: self.sgd_lr}[rule]

    @property
    def backward(self) -> float:
        """Exponent of the multiplier met by a gradient on its way to the input."""
        return self.multiplier if self.grad_input is None else self.grad_input

    @property
    def backward_weight(self) -> float:
        """Exponent of the multiplier met by a gradient on its way to the weight."""
        return self.multiplier if self.grad_weight is None else self.grad_weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """A scheme's exponents turned into numbers for one parameter."""

    init_std: float
    multiplier: float
    lr: Mapping[UpdateRule, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A parametrization.

    Attributes:
        name: as on the command line.
        source: where its numbers come from.
        rows: exponents of width per role.
        head_dim: attention logits are multiplied by d_head to this power.
        base_width: width at which the scheme coincides with SP; None when its rules are absolute
            powers of the fan itself.
        ops: ``"plain"`` for autograd's own gradients, ``"unit"`` for the unit-scaled ops.
        residual: how residual branches are weighted: ``"sum"``, ``"depth_mup"`` or ``"unit"``.
        base_depth: transformer layers at which the depth rule is neutral; None when absolute, and
            then it counts residual sub-layers, two a layer.
        depth_lr: power of depth in the hidden learning rate, per update rule.
        adam_eps: power of width in Adam's ε, which must go like the weight gradients.
        independent_weight_decay: whether lr·λ, not λ, is held constant over width.
    """

    name: str
    source: str
    rows: Mapping[Role, Exponents]
    head_dim: float
    base_width: int | None = None
    ops: str = "plain"
    residual: str = "sum"
    base_depth: int | None = None
    depth_lr: Mapping[UpdateRule, float] = field(
        default_factory=lambda: dict.fromkeys(UpdateRule, 0.0)
    )
    adam_eps: float = 0.0
    independent_weight_decay: bool = False

    def growth(self, fan: int, width: int) -> float:
        """What the exponents are powers of: width over base width, or the fan itself."""
        return fan if self.base_width is None else width / self.base_width

    def depth_growth(self, layers: int) -> float:
        """What the depth exponents are powers of: layers over base layers, or sub-layers.

        u-µP's paper says "depth"; of the official codes one counts layers and one sub-layers.
        Sub-layers are what its residual weights count, so they are what this counts.
        """
        return 2 * layers if self.base_depth is None else layers / self.base_depth

    def scales(self, role: Role, *, fan_in: int, fan_out: int, width: int, layers: int) -> Scales:
        """Initial standard deviation, multiplier and learning-rate factors of one parameter.

        The effective weight, multiplier · init_std, is 1/√fan-in at the base width (at fan-in 1
        when absolute) for hidden and output matrices, and 1 for embeddings and vectors.
        """
        row = self.rows[role]
        summed = role in (Role.HIDDEN, Role.OUTPUT)
        growth = self.growth(fan_in if summed else fan_out, width)
        at_base = (fan_in / growth) ** -0.5 if summed else 1.0
        return Scales(
            init_std=at_base * growth**row.init,
            multiplier=growth**row.multiplier,
            lr={
                rule: growth ** row.lr(rule)
                * (self.depth_growth(layers) ** self.depth_lr[rule] if role is Role.HIDDEN else 1)
                for rule in UpdateRule
            },
        )


def _rows(
    *, embedding: Exponents, hidden: Exponents, output: Exponents, vector: Exponents
) -> Mapping[Role, Exponents]:
    return {
        Role.INPUT: embedding,
        Role.HIDDEN: hidden,
        Role.OUTPUT: output,
        Role.VECTOR: vector,
    }


_MUP_ROWS = _rows(
    embedding=Exponents(sgd_lr=1.0),
    hidden=Exponents(init=-0.5, adam_lr=-1.0),
    output=Exponents(multiplier=-1.0, sgd_lr=1.0),
    vector=Exponents(sgd_lr=1.0),
)

SP = Scheme(
    name="sp",
    source="standard parametrization: 1/√fan-in init, one learning rate",
    rows=_rows(
        embedding=Exponents(),
        hidden=Exponents(init=-0.5),
        output=Exponents(init=-0.5),
        vector=Exponents(),
    ),
    head_dim=-0.5,
)

NTK = Scheme(
    name="ntk",
    source="neural tangent parametrization, width-constant learning rate (Everett et al. 2024)",
    rows=_rows(
        embedding=Exponents(),
        hidden=Exponents(multiplier=-0.5),
        output=Exponents(multiplier=-0.5),
        vector=Exponents(),
    ),
    head_dim=-0.5,
)

MUP = Scheme(
    name="mup",
    source="Tensor Programs V, Table 8 (as in the mup package)",
    rows=_MUP_ROWS,
    head_dim=-1.0,
    base_width=128,
    adam_eps=-1.0,
    independent_weight_decay=True,
)

DEPTH_MUP = Scheme(
    name="depth_mup",
    source="Tensor Programs VI: µP with branches and hidden learning rate at √(base depth/depth)",
    rows=_MUP_ROWS,
    head_dim=-1.0,
    base_width=128,
    adam_eps=-1.0,
    independent_weight_decay=True,
    residual="depth_mup",
    base_depth=2,
    depth_lr={UpdateRule.ADAM: -0.5, UpdateRule.SGD: 0.0},
)

UMUP = Scheme(
    name="umup",
    source="the u-µP paper, Table 1, with the readout's backward multiplier at 1/√fan-out",
    rows=_rows(
        embedding=Exponents(adam_lr=-0.5, sgd_lr=-0.5, grad_weight=0.0),
        hidden=Exponents(multiplier=-0.5, adam_lr=-0.5, sgd_lr=-0.5, grad_weight=0.0),
        output=Exponents(multiplier=-1.0, grad_input=0.0, grad_weight=0.0),
        vector=Exponents(),
    ),
    head_dim=-1.0,
    ops="unit",
    residual="unit",
    depth_lr={UpdateRule.ADAM: -0.5, UpdateRule.SGD: -0.5},
    independent_weight_decay=True,
)

SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (SP, NTK, MUP, DEPTH_MUP, UMUP)}
)


def get(name: str) -> Scheme:
    """The scheme called `name`.

    Raises:
        InputError: if there is none.
    """
    try:
        return SCHEMES[name]
    except KeyError:
        raise InputError(f"there is no scheme {name!r}; there are {', '.join(SCHEMES)}.") from None
