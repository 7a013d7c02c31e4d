"""How an optimizer's update grows with width and depth: all that a scheme needs to know of it.

A table of optimizers by name or class is in `umup_diag.scaling.optimizers`; several share a rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from umup_diag.scaling.roles import Role


class UpdateRule(StrEnum):
    """How an optimizer's update goes with its gradient; the figures are in `RULES`."""

    ADAM = "adam"  #: entries of one size: Adam, AdamW, Lion, sign descent
    SGD = "sgd"  #: in proportion
    MUON = "muon"  #: orthogonalised, times √max(1, fan-out/fan-in)
    MUON_KIMI = "muon-kimi"  #: orthogonalised, times 0.2·√max(fan-out, fan-in)
    SOAP = "soap"  #: Adam in the eigenbasis of Shampoo's preconditioner
    SHAMPOO = "shampoo"  #: both sides to the power -1/4


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSize:
    """What an update is at learning rate 1, as powers.

    Attributes:
        gradient: of the gradient's scale that the update is in proportion to.
        norm: role → power of width of the update's RMS operator norm
            ‖ΔW‖_R = √(fan-in/fan-out)·‖ΔW‖₂, for a gradient that tokens have in common (of low
            rank); what a scheme's learning rate has to make up for.
        rms: role → power of width of the RMS of the update's entries.
        eps: power of width of ε over that of Adam's, on a hidden matrix: 1 where ε is set against
            the gradient's norm and not against its entries.
    """

    gradient: float
    norm: Mapping[Role, float]
    rms: Mapping[Role, float]
    eps: float = 0.0


def _roles(embedding: float, hidden: float, output: float) -> Mapping[Role, float]:
    return MappingProxyType(
        {Role.INPUT: embedding, Role.HIDDEN: hidden, Role.OUTPUT: output, Role.VECTOR: 0.0}
    )


# Entries of size 1 along one direction of fan-in inputs: the norm is the fan-in, n where it grows.
_ENTRIES = UpdateSize(gradient=0.0, norm=_roles(0, 1, 1), rms=_roles(0, 0, 0))
# Singular values of 1, times √max(1, fan-out/fan-in): an input's norm stays 1, a readout's is
# √fan-in; spread over min(fans) of them, entries are at √(min/(fan-in·fan-out)) times that.
_ORTHOGONAL = UpdateSize(gradient=0.0, norm=_roles(0, 0, 0.5), rms=_roles(0, -0.5, -0.5), eps=1.0)

#: Sources: SGD and Adam, Tensor Programs V; Muon, Jordan et al. 2024; Muon-Kimi, Moonlight (Liu et
#: al. 2025) with Zheng et al., arXiv 2603.00541; SOAP and Shampoo, the code of arXiv 2512.05620,
#: where a rate is (fan-out/fan-in)^(1-E)·depth^(1-2E) with E = ½ at power -1/4, for one block.
RULES: Mapping[UpdateRule, UpdateSize] = MappingProxyType(
    {
        UpdateRule.ADAM: _ENTRIES,
        # What SGD adds is that its entries are in proportion to the gradient's.
        UpdateRule.SGD: UpdateSize(gradient=1.0, norm=_ENTRIES.norm, rms=_ENTRIES.rms),
        UpdateRule.MUON: _ORTHOGONAL,
        UpdateRule.MUON_KIMI: UpdateSize(
            gradient=0.0, norm=_roles(0, 0.5, 1), rms=_roles(0, 0, 0), eps=1.0
        ),
        UpdateRule.SOAP: _ORTHOGONAL,
        UpdateRule.SHAMPOO: _ORTHOGONAL,
    }
)
