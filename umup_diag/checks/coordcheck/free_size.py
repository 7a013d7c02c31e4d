"""Sizes that training does not depend on, told exactly by what a gradient does along its weight.

⟨∂L/∂W, W⟩ is what the loss does by W's size. It is 0 where a norm follows; and it is one number for
two weights, or for one and the sum of several, whose sizes count as their product alone: queries
and keys, values and what takes them, both sides of a rectifier, a norm's gain and what it feeds.
Then training is the same to the last bit wherever the size stands, as long as the updates have it
too: what is right is how far a step turns the weight.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from umup_diag.checks.coordcheck.decision import EDGE
from umup_diag.checks.coordcheck.evidence import Evidence
from umup_diag.checks.coordcheck.question import Question
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.schemes import UpdateRule

#: A gradient that lies along its weight no more than this, of what it does by chance, sees a norm.
ACROSS = 0.01
#: Relative difference of two sums over all runs that are one number, computed in two ways.
SAME = 0.02
MOST_FED, NEAREST = 3, 8  #: layers that take one size, among so many that are nearest

_Run = tuple[int, int]  #: seed, width


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """A tensor that is larger than it should be, and whose updates are as much larger.

    Attributes:
        tensor: its name.
        power: of width by which it is larger.
        twice: 2 under descent, where a rate goes with the square of a size; else 1.
        order: place in the forward pass.
        falls: what the loss does by its size, in each run.
    """

    tensor: str
    power: float
    twice: float
    order: int
    falls: Mapping[_Run, float]


def up_to_free_sizes(questions: Sequence[Question], evidence: Evidence) -> Iterator[Question]:
    """The questions, with what is accepted moved by the sizes that are free."""
    free = _free(list(_moved(questions, evidence)), questions, evidence)
    for each in questions:
        moved = free.get(each.tensor)
        if moved is None and each.tensor.endswith(".bias"):
            layer = each.tensor.removesuffix(".bias")
            moved = free.get(layer) or free.get(f"{layer}.weight")
            off = each.accepted.deviation(each.found.slope)
            if moved and (each.kind is not Kind.RATE or not _alike(off, moved)):
                moved = None
        shift = {
            Kind.GAIN: 1.0,
            Kind.UPDATE_GAIN: moved.twice if moved else 1.0,
            Kind.RATE: moved.twice if moved else 1.0,
        }.get(each.kind)
        if moved and shift:
            each = replace(each, accepted=each.accepted.shifted(shift * moved.power))
        yield each


def _alike(off: float, moved: _Moved) -> bool:
    return abs(off / moved.twice - moved.power) < EDGE


def _moved(questions: Sequence[Question], evidence: Evidence) -> Iterator[_Moved]:
    by_key = {question.key: question for question in questions}
    for (tensor, kind), size in by_key.items():
        turn = by_key.get((tensor, Kind.UPDATE_GAIN)) or by_key.get((tensor, Kind.RATE))
        steps = evidence.steps(tensor, Kind.SIZE_SLOPE)
        if kind is not Kind.GAIN or turn is None or not steps:
            continue
        descends = evidence.facts[tensor].update_rule is UpdateRule.SGD
        moved = _Moved(
            tensor=tensor,
            power=size.accepted.deviation(size.found.slope),
            twice=2.0 if descends else 1.0,
            order=size.order,
            falls={
                (seed, width): value
                for seed, widths in evidence.values[tensor, Kind.SIZE_SLOPE, steps[0]].items()
                for width, value in widths.items()
            },
        )
        off = turn.accepted.deviation(turn.found.slope)
        if abs(moved.power) >= EDGE and _alike(off, moved):
            yield moved


def _free(
    moved: Sequence[_Moved], questions: Sequence[Question], evidence: Evidence
) -> dict[str, _Moved]:
    """Those whose size does not matter, or is made up for by others."""
    free = {
        each.tensor: each
        for each in moved
        if _has_no_size(each.tensor, evidence)
        or _has_right_logits(each.tensor, questions, evidence)
    }
    for one in moved:
        others = [each for each in moved if abs(each.power + one.power) < EDGE and each is not one]
        others.sort(key=lambda each: abs(each.order - one.order))
        for count in range(1, MOST_FED + 1):
            for some in combinations(others[:NEAREST], count):
                if _is_one(one, some):
                    free |= {each.tensor: each for each in (one, *some)}
    return free


def _is_one(one: _Moved, some: Sequence[_Moved]) -> bool:
    """Whether the loss does by one size what it does by several others together."""
    apart = sum(
        abs(fall - sum(each.falls.get(run, 0.0) for each in some))
        for run, fall in one.falls.items()
    )
    return apart <= SAME * sum(map(abs, one.falls.values()))


def _has_right_logits(tensor: str, questions: Sequence[Question], evidence: Evidence) -> bool:
    """Whether it feeds a softmax alone, whose logits start and change as they should.

    A power of width may stand in the queries, the keys or the constant between.
    """
    logits = [
        each.accepted.deviation(each.found.slope)
        for each in questions
        if each.kind in (Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE)
        and (not each.tensor or tensor.startswith(f"{each.tensor}."))
    ]
    return tensor in evidence.softmax_feeders and bool(logits) and max(map(abs, logits)) < EDGE


def _has_no_size(tensor: str, evidence: Evidence) -> bool:
    """Whether the loss depends on a weight's direction alone."""
    steps = evidence.steps(tensor, Kind.GRADIENT_RADIAL)
    if not steps:
        return False
    values = evidence.values[tensor, Kind.GRADIENT_RADIAL, steps[0]]
    return all(along < ACROSS for widths in values.values() for along in widths.values())
