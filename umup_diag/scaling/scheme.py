"""What a parametrization is: powers of width and depth for init, multiplier and learning rate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from umup_diag.scaling.roles import Role
from umup_diag.scaling.update_rules import RULES, UpdateRule
from umup_diag.scaling.weight_decay import PLAIN, WeightDecay

#: Update rule → its column in `Exponents`; SOAP's and Shampoo's updates are sized as Muon's.
_COLUMNS: Mapping[UpdateRule, str] = {
    UpdateRule.ADAM: "adam_lr",
    UpdateRule.SGD: "sgd_lr",
    UpdateRule.MUON: "muon_lr",
    UpdateRule.MUON_KIMI: "muon_kimi_lr",
    UpdateRule.SOAP: "muon_lr",
    UpdateRule.SHAMPOO: "muon_lr",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponents:
    """Powers of width for one role; see `Scheme.scales` for what they multiply.

    Attributes:
        init: of the initial standard deviation.
        multiplier: of the forward multiplier.
        adam_lr: of the learning rate under Adam.
        sgd_lr: of the learning rate under SGD.
        muon_lr: of the learning rate under Muon with its factor √max(1, fan-out/fan-in).
        muon_kimi_lr: of the learning rate under Muon with its factor 0.2·√max(fan-out, fan-in).
        eps: of Adam's ε, which must go like the entries of the weight's gradient.
        grad_input: of the multiplier on the gradient towards the input, and
        grad_weight: towards the weight; None where autograd applies the forward multiplier.
    """

    init: float = 0.0
    multiplier: float = 0.0
    adam_lr: float = 0.0
    sgd_lr: float = 0.0
    muon_lr: float = 0.0
    muon_kimi_lr: float = 0.0
    eps: float = 0.0
    grad_input: float | None = None
    grad_weight: float | None = None

    def lr(self, rule: UpdateRule) -> float:
        """Exponent of the learning rate under an update rule."""
        return float(getattr(self, _COLUMNS[rule]))

    @property
    def backward(self) -> float:
        """Exponent of the multiplier met by a gradient on its way to the input."""
        return self.multiplier if self.grad_input is None else self.grad_input

    @property
    def backward_weight(self) -> float:
        """Exponent of the multiplier met by a gradient on its way to the weight."""
        return self.multiplier if self.grad_weight is None else self.grad_weight


def depth_rates(*, adam: float, sgd: float) -> Mapping[UpdateRule, float]:
    """Powers of depth for the rules: those that forget the gradient's scale share Adam's."""
    return {rule: sgd if size.gradient else adam for rule, size in RULES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """A scheme's exponents turned into numbers for one parameter.

    Attributes:
        init_std: initial standard deviation.
        multiplier: forward multiplier.
        lr: update rule → what η is multiplied by.
        eps: what Adam's ε is multiplied by.
        growth: what the width exponents are powers of.
    """

    init_std: float
    multiplier: float
    lr: Mapping[UpdateRule, float]
    eps: float
    growth: float


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
        norm: ``"pre"`` for a branch that normalises its input, ``"res_post"`` its output.
        residual: how residual branches are weighted: ``"sum"`` for a plain stream, ``"unit"`` for
            u-µP's weights, ``"fixed"`` for one ratio in every layer.
        branch: power of depth in a branch's share of the stream.
        base_depth: transformer layers at which the depth rule is neutral; None when absolute, and
            then it counts residual sub-layers, two a layer.
        depth_lr: power of depth in the learning rate of what is in a block, per update rule.
        depth_eps: power of depth in Adam's ε of what is in a block.
        weight_decay: the rule that its authors use.
        is_mup: whether every layer learns features at any width, so that learning rates transfer.
    """

    name: str
    source: str
    rows: Mapping[Role, Exponents]
    head_dim: float
    base_width: int | None = None
    ops: str = "plain"
    norm: str = "pre"
    residual: str = "sum"
    branch: float = 0.0
    base_depth: int | None = None
    depth_lr: Mapping[UpdateRule, float] = field(
        default_factory=lambda: dict.fromkeys(UpdateRule, 0.0)
    )
    depth_eps: float = 0.0
    weight_decay: WeightDecay = PLAIN
    is_mup: bool = True

    @property
    def independent_weight_decay(self) -> bool:
        """Whether lr·λ, not λ, is held constant over width."""
        return self.weight_decay.by_factor == 1 and not self.weight_decay.width

    def growth(self, fan: int, width: int) -> float:
        """What the exponents are powers of: width over base width, or the fan itself."""
        return fan if self.base_width is None else width / self.base_width

    def depth_growth(self, layers: int) -> float:
        """What the depth exponents are powers of: layers over base layers, or sub-layers.

        u-µP's paper says "depth"; of the official codes one counts layers and one sub-layers.
        Sub-layers are what its residual weights count, so they are what this counts.
        """
        return 2 * layers if self.base_depth is None else layers / self.base_depth

    def scales(
        self,
        role: Role,
        *,
        fan_in: int,
        fan_out: int,
        width: int,
        layers: int,
        in_block: bool | None = None,
    ) -> Scales:
        """Initial standard deviation, multiplier, learning-rate and ε factors of one parameter.

        The effective weight, multiplier · init_std, is 1/√fan-in at the base width (at fan-in 1
        when absolute) for hidden and output matrices, and 1 for embeddings and vectors.

        Args:
            role: of the parameter.
            fan_in: of the parameter; of a vector, any number.
            fan_out: of the parameter.
            width: of the trunk.
            layers: transformer layers.
            in_block: whether depth's rules hold for it; None for whether it is a hidden matrix.
        """
        row = self.rows[role]
        summed = role in (Role.HIDDEN, Role.OUTPUT)
        growth = self.growth(fan_in if summed else fan_out, width)
        at_base = (fan_in / growth) ** -0.5 if summed else 1.0
        in_block = role is Role.HIDDEN if in_block is None else in_block
        depth = self.depth_growth(layers) if in_block else 1.0
        return Scales(
            init_std=at_base * growth**row.init,
            multiplier=growth**row.multiplier,
            lr={rule: growth ** row.lr(rule) * depth ** self.depth_lr[rule] for rule in UpdateRule},
            eps=growth**row.eps * depth**self.depth_eps,
            growth=growth,
        )
