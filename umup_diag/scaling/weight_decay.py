"""The published rules for weight decay, as data.

PyTorch decays by lr·λ a step. Of a parameter trained at lr = η·f, with f its scheme's factor, a
rule gives λ as λ₀ / (η^a · f^b) times a power of width. "Independent" is used in the literature for
two different products, so each rule goes by what it keeps:

======================  =========================  ===========================================
rule                    lr·λ is                    source
======================  =========================  ===========================================
plain                   η·f·λ₀                     AdamW as it is
constant-timescale      η·λ₀                       Wang & Aitchison, arXiv 2405.13698; CompleteP
independent             λ₀                         u-µP, Table 6; unit-scaling's ``wd / lr``
steady-state            η·f·λ₀·√width, matrices    arXiv 2510.15262
lr-free                 λ₀ / width                 arXiv 2512.05620
======================  =========================  ===========================================

Each follows the schedule: lr is the peak's when λ is set, and lr·λ falls with lr after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from umup_diag.errors import InputError
from umup_diag.scaling.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDecay:
    """A rule for λ.

    Attributes:
        name: as in ``--build weight_decay=…`` of the reference model.
        source: where it comes from.
        by_rate: power of η that λ is divided by.
        by_factor: power of the scheme's factor that λ is divided by.
        width: power of width that λ is multiplied by.
        matrices_only: whether embeddings, readouts and vectors are not decayed.
    """

    name: str
    source: str
    by_rate: float = 0.0
    by_factor: float = 0.0
    width: float = 0.0
    matrices_only: bool = False

    def of(self, decay: float, role: Role, *, rate: float, factor: float, growth: float) -> float:
        """λ as PyTorch takes it.

        Args:
            decay: λ₀.
            role: of the parameter.
            rate: η.
            factor: the scheme's, which multiplies η.
            growth: what the scheme's exponents are powers of.
        """
        if self.matrices_only and role is not Role.HIDDEN:
            return 0.0
        return float(decay * growth**self.width / (rate**self.by_rate * factor**self.by_factor))

    def product(self, role: Role, lr: float) -> float | None:
        """Power of width of lr·λ, for a learning rate with this power; None where λ is 0."""
        if self.matrices_only and role is not Role.HIDDEN:
            return None
        return lr * (1 - self.by_factor) + self.width


PLAIN = WeightDecay(name="plain", source="AdamW as it is (Loshchilov & Hutter 2019)")
CONSTANT_TIMESCALE = WeightDecay(
    name="constant-timescale", source="arXiv 2405.13698, and CompleteP", by_factor=1.0
)
INDEPENDENT = WeightDecay(
    name="independent", source="u-µP, Table 6, and unit-scaling", by_rate=1.0, by_factor=1.0
)
STEADY_STATE = WeightDecay(
    name="steady-state", source="arXiv 2510.15262", width=0.5, matrices_only=True
)
LR_FREE = WeightDecay(
    name="lr-free", source="arXiv 2512.05620", by_rate=1.0, by_factor=1.0, width=-1.0
)

WEIGHT_DECAYS: Mapping[str, WeightDecay] = MappingProxyType(
    {rule.name: rule for rule in (PLAIN, CONSTANT_TIMESCALE, INDEPENDENT, STEADY_STATE, LR_FREE)}
)


def get(name: str) -> WeightDecay:
    """The rule called `name`.

    Raises:
        InputError: if there is none.
    """
    try:
        return WEIGHT_DECAYS[name]
    except KeyError:
        raise InputError(
            f"there is no rule of weight decay {name!r}; there are {', '.join(WEIGHT_DECAYS)}."
        ) from None
