"""Which published scheme a model is nearest to, whatever factors it has moved."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from umup_diag.checks.audit.measured import DEPTH, WIDTH, Measured
from umup_diag.checks.audit.parameter import Parameter, multiplicity
from umup_diag.checks.fix import SAME_POWER
from umup_diag.report.names import starred
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import SCHEMES, Scheme

_NAMES = {
    Role.INPUT: "embedding",
    Role.HIDDEN: "hidden",
    Role.OUTPUT: "readout",
    Role.VECTOR: "gains and biases",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where a model departs from a scheme.

    Attributes:
        of: role and quantity, in words.
        mine: power of width in the model, moved to where the scheme has its factors.
        theirs: of the scheme.
        axis: that they are powers of.
    """

    of: str
    mine: float
    theirs: float
    axis: str = WIDTH

    @property
    def size(self) -> float:
        """In powers of width."""
        return abs(self.mine - self.theirs)

    @property
    def words(self) -> str:
        """As in "readout: your learning rate falls as width^-1, theirs is constant"."""
        role, quantity = self.of.split(": ")
        mine, theirs = _goes(self.mine, self.axis), _goes(self.theirs, self.axis)
        return f"{role}: your {quantity} {mine}, theirs {theirs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How near a model is to a scheme.

    Attributes:
        scheme: to compare with.
        differences: in what no move of a factor changes.
        moved: how far factors stand from where the scheme has them, in powers of width.
    """

    scheme: Scheme
    differences: tuple[Difference, ...]
    moved: float

    @property
    def distance(self) -> float:
        """Sum of the differences that are more than noise."""
        return sum(each.size for each in self.real)

    @property
    def real(self) -> tuple[Difference, ...]:
        """Differences that are more than noise."""
        return tuple(each for each in self.differences if each.size > SAME_POWER)

    @property
    def words(self) -> str:
        """Its name and where the model departs from it."""
        if self.real:
            return f"{self.scheme.name}: {'; '.join(each.words for each in self.real)}"
        moved = ", with factors moved" if self.moved > SAME_POWER else ""
        return f"{self.scheme.name}: the same{moved}"


def ranking(parameters: Sequence[Parameter], measured: Measured, deep: Measured) -> list[Likeness]:
    """Every scheme, the nearest first; of those at one distance, the one with fewer moves.

    Args:
        parameters: over width.
        measured: over width.
        deep: over depth; empty where depth was not varied.
    """
    blocks = [
        Parameter.of(deep, each.name, each.order)
        for each in parameters
        if each.role is Role.HIDDEN and starred(each.name) != each.name
    ]
    found = [_likeness(scheme, parameters, measured, blocks) for scheme in SCHEMES.values()]
    return sorted(found, key=lambda each: (round(each.distance, 2), round(each.moved, 1)))


def _likeness(
    scheme: Scheme,
    parameters: Sequence[Parameter],
    measured: Measured,
    blocks: Sequence[Parameter],
) -> Likeness:
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    moved: dict[str, list[float]] = defaultdict(list)
    for each in parameters:
        if each.role is None or each.rule is None:
            continue
        row, name = each.row(scheme), _NAMES[each.role]
        if each.weight is not None and each.role is not Role.VECTOR:
            mine = each.weight.value - row.multiplier
            pairs[f"{name}: initial weight"].append((mine, row.init))
        step = each.step(row)
        if step is not None:
            mine = step.value - multiplicity(each.rule, row) * row.multiplier
            pairs[f"{name}: learning rate"].append((mine, row.lr(each.rule)))
        if each.multiplier is not None:
            moved[name].append(abs(each.multiplier.value - row.multiplier))
    for of, mine, theirs in _attention(scheme, measured):
        pairs[of].append((mine, theirs))
    return Likeness(
        scheme=scheme,
        differences=(
            *(
                Difference(
                    of=of,
                    mine=median(mine for mine, _ in each),
                    theirs=median(theirs for _, theirs in each),
                )
                for of, each in pairs.items()
            ),
            *_in_depth(scheme, blocks),
        ),
        moved=sum(median(each) for each in moved.values()),
    )


def _in_depth(scheme: Scheme, blocks: Sequence[Parameter]) -> list[Difference]:
    """What closes a branch bears the branch's share of the stream; the rate is all layers'.

    The share is a constant right after a branch's last layer, or in that layer's initial weights.
    Ops with a backward pass of their own hide it from autograd, and then it is not compared.
    """
    row = scheme.rows[Role.HIDDEN]
    shares, rates = [], []
    for each in blocks:
        step = each.step(row)
        if each.weight is None or step is None or each.rule is None:
            continue
        closes = each.weight.value < -SAME_POWER
        if closes:
            shares.append(each.weight.value)
        moved = multiplicity(each.rule, row) * scheme.branch if closes else 0.0
        rates.append((step.value - moved, scheme.depth_lr[each.rule]))
    found = []
    if rates and scheme.ops == "plain":
        share = median(shares) if shares else 0.0
        found.append(Difference(of="branches: share", mine=share, theirs=scheme.branch, axis=DEPTH))
    if rates:
        mine, theirs = (median(each) for each in zip(*rates, strict=True))
        found.append(Difference(of="hidden: learning rate", mine=mine, theirs=theirs, axis=DEPTH))
    return found


def _attention(scheme: Scheme, measured: Measured) -> list[tuple[str, float, float]]:
    found = []
    for name in measured.of_kind(Kind.ATTENTION_LOGITS):
        heads = measured.count_power(name, Kind.ATTENTION_LOGITS)
        power = measured.by_seeds(name, Kind.ATTENTION_LOGITS)
        if heads is not None and power is not None and heads < SAME_POWER:
            found.append(("attention: logits at init", power.value, 0.5 + scheme.head_dim))
    return found


def _goes(power: float, axis: str) -> str:
    half = round(2 * power) / 2
    if abs(power - half) > SAME_POWER:
        half = round(power, 2)
    if not half:
        return f"is constant in {axis}"
    return f"{'grows' if half > 0 else 'falls'} as {axis}^{half:g}"
