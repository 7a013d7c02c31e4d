"""What RMS a unit-scaled model has at init, tensor by tensor, where that is not 1.

u-µP asks for unit scale and leaves a few tensors off it, by amounts that follow from its own rules:

- The readout's multiplier is 1/fan-in and not 1/√fan-in, so logits come out at 1/√fan-in.
- A linear multiplies the gradient that goes back through it by its forward factor, 1/√fan-in, and
  not by 1/√fan-out: from the FFN's down-projection that is √(fan-out/fan-in) of a unit gradient.
- Attention is divided by one σ, forward and on the way to queries, keys and values. The softmax
  passes a mean over positions forward, a sum over later positions back to the values, and to
  queries and keys its Jacobian, which is far smaller.

Exponents are read off the scheme's table, so a change to the table changes what is expected.
"""

from dataclasses import dataclass
from math import sqrt

from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import INDEPENDENT
from umup_diag.scaling.roles import Fans, Role
from umup_diag.scaling.scale_laws import attention_scale, harmonic
from umup_diag.scaling.schemes import UMUP

#: What unit scaling promises something about. Outputs are there because a norm hides a wrong output
#: from every input after it.
KINDS = (Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT, Kind.GRAD_OUTPUT, Kind.ATTENTION_LOGITS)
#: The search range of α_attn-softmax (u-µP paper, Table 6): the attention logits are in proportion.
ATTENTION_ALPHAS = (0.25, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """An expected RMS.

    Attributes:
        low: its smallest admissible value, before any tolerance.
        high: its largest; equal to `low` unless a free hyperparameter is in proportion.
        because: why it is not 1, in words; None where it is.
    """

    low: float
    high: float
    because: str | None = None

    @classmethod
    def at(cls, rms: float, because: str | None = None) -> "Expectation":
        """Exactly one value."""
        return cls(low=rms, high=rms, because=because)


UNIT = Expectation.at(1.0)


def forward_gain(role: Role, fans: Fans) -> float:
    """RMS of a linear's output for unit input and unit weights, by the scheme's table."""
    row = UMUP.rows[role]
    if role not in (Role.HIDDEN, Role.OUTPUT) or fans.fan_in is None:
        return 1.0
    return float(fans.fan_in ** (row.multiplier + row.init + INDEPENDENT))


def backward_gain(fans: Fans) -> float:
    """RMS of the gradient towards a hidden linear's input for a unit gradient at its output."""
    row = UMUP.rows[Role.HIDDEN]
    if fans.fan_in is None:
        return 1.0
    return float(fans.fan_in**row.backward * fans.fan_out**INDEPENDENT)


def attention_logits(head_dim: int) -> Expectation:
    """RMS of the attention logits: α · d_head^(−1 + ½), for any α of the search range."""
    unit = float(head_dim ** (UMUP.head_dim + INDEPENDENT))
    low, high = ATTENTION_ALPHAS
    return Expectation(
        low=low * unit, high=high * unit, because=f"α/√{head_dim}, α in [{low:g}, {high:g}]"
    )


def query_gradient(*, seq_len: int, head_dim: int, alpha: float = 1.0) -> float:
    """RMS of the gradient towards queries, and keys, of unit-scaled causal attention.

    Derived, for a unit gradient at its output. Position i sees i others at nearly equal weight
    P = 1/i (logits are small: α/√d). For unit, independent gradients and values, dP is a product
    over d_head of them, of variance d. The softmax's Jacobian gives dS = P (dP − mean dP), of
    variance d (1/i²)(1 − 1/i), and dq = (α/d) dS k sums i of those: variance (α²/d)(1/i)(1 − 1/i).
    Its mean over i ≤ s is (α²/d)(H_s − H_s⁽²⁾)/s, with harmonic numbers of first and second order;
    the op divides by σ. Keys sum the same terms over i ≥ j, and get the same mean.

    Independent positions are what this assumes; the unit-scale check takes what they have in common
    from the run.
    """
    first = harmonic(seq_len)
    second = sum(1 / i**2 for i in range(1, seq_len + 1))
    raw = alpha / sqrt(head_dim) * sqrt((first - second) / seq_len)
    return raw / attention_scale(seq_len=seq_len, head_dim=head_dim, alpha=alpha)
