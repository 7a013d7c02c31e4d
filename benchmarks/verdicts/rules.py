"""µP as tables: a parameter's role, and the powers of width of its init, multiplier and rate.

Sources: "TP-V" is Yang et al., arXiv:2203.03466 (Tables 3, 8 and 9); the mean-field row and u-µP
are abc-symmetric to them, but for u-µP's embedding rate (Blake et al., arXiv:2407.17465).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a parameter is to the width limit, by which of its two sides grow with width."""

    INPUT = "input"  # only fan-out: embeddings, first layers
    HIDDEN = "hidden"  # both
    OUTPUT = "output"  # only fan-in: readouts, routers
    VECTOR = "vector"  # one growing dimension: biases, gains
    FIXED = "fixed"  # none: a scalar, a readout's bias


class Rule(StrEnum):
    """What decides how a learning rate scales: an optimizer's family."""

    ADAM = "adam"
    SGD = "sgd"
    MUON = "muon"  # orthogonalised, times √max(1, out/in)
    MUON_KIMI = "muon-kimi"  # orthogonalised, times 0.2·√max(out, in)


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """Powers of width for one role.

    Attributes:
        init: of the initial standard deviation.
        multiplier: of the forward multiplier.
        lr: of the learning rate, for each optimizer that may train the role.
    """

    init: float = 0.0
    multiplier: float = 0.0
    lr: Mapping[Rule, float]


def _lr(
    adam: float, sgd: float, muon: float = 0.0, muon_kimi: float = -0.5
) -> Mapping[Rule, float]:
    return {Rule.ADAM: adam, Rule.SGD: sgd, Rule.MUON: muon, Rule.MUON_KIMI: muon_kimi}


_VECTOR = Powers(lr=_lr(0, 1))
_FIXED = Powers(lr=_lr(0, 0))

Table = Mapping[Role, Powers]

#: What the `mup` package does.
TABLE_8: Table = {
    Role.INPUT: Powers(lr=_lr(0, 1)),
    Role.HIDDEN: Powers(init=-0.5, lr=_lr(-1, 0)),
    Role.OUTPUT: Powers(multiplier=-1, lr=_lr(0, 1)),
    Role.VECTOR: _VECTOR,
    Role.FIXED: _FIXED,
}
#: No multipliers at all.
TABLE_3: Table = {**TABLE_8, Role.OUTPUT: Powers(init=-1, lr=_lr(-1, -1))}
#: One rate for all layers under SGD.
TABLE_9: Table = {
    **TABLE_8,
    Role.INPUT: Powers(init=-0.5, multiplier=0.5, lr=_lr(-0.5, 0)),
    Role.OUTPUT: Powers(init=-0.5, multiplier=-0.5, lr=_lr(-0.5, 0)),
}
#: Every weight of unit size, everything else in multipliers.
MEAN_FIELD: Table = {
    **TABLE_8,
    Role.HIDDEN: Powers(multiplier=-0.5, lr=_lr(-0.5, 1, muon=0.5, muon_kimi=0.0)),
}
#: Mean-field, with the embedding's rate falling as n^-½: its loss change falls alike, by design.
UMUP: Table = {**MEAN_FIELD, Role.INPUT: Powers(lr=_lr(-0.5, 0.5))}


def role(grows: tuple[bool, ...], *, out: int, into: tuple[int, ...]) -> Role:
    """The role of a parameter.

    Args:
        grows: for each dimension, whether it grows with width.
        out: the dimension that indexes outputs.
        into: those that index inputs; none for a vector.
    """
    if not any(grows):
        return Role.FIXED
    if not into:
        return Role.VECTOR
    fan_in, fan_out = any(grows[dim] for dim in into), grows[out]
    if fan_in:
        return Role.HIDDEN if fan_out else Role.OUTPUT
    return Role.INPUT
