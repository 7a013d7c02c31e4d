"""A recording as trends over one axis, with what is known of each tensor."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log2
from statistics import median

from umup_diag.checks.coordcheck.line import is_in_stack
from umup_diag.checks.coordcheck.trend import Trend, Values, trend, usable
from umup_diag.errors import InputError
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans, Role, infer_role, infer_roles
from umup_diag.scaling.schemes import UpdateRule
from umup_diag.settings.axes import WIDTH

Key = tuple[str, Kind, int]  #: tensor, kind, step
#: Sizes of a growing stack from which on the smallest only settles: with few blocks, what they add
#: to the stream is as large as what went in, and every slope is off by some parts in L.
SETTLES_IN = 4
ALIGNED = 0.95  #: a cosine beyond which two directions are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a tensor before anything is judged.

    Attributes:
        tensor: its name.
        order: its place in the forward pass.
        role: in the limit of width; None where neither fan grows.
        update_rule: how its updates go with its gradients, as the first one shows.
        is_sign: whether its first update has the sign of its gradient and one size, as Adam's.
        is_adam: whether its optimizer has betas and an ε.
        weight_of: the tensor that a tied layer has its weight, and the weight's updates, from.
        growth: power of the axis that the number of its elements goes with.
        ends_branch: whether its output joins a residual stream.
    """

    tensor: str
    order: int
    role: Role | None
    update_rule: UpdateRule
    is_sign: bool
    is_adam: bool
    weight_of: str | None
    growth: float = 0.0
    ends_branch: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All series of a sweep along one axis.

    Attributes:
        values: (tensor, kind, step) → seed → size along the axis → value.
        facts: of each tensor, in forward order.
        measured_at: (tensor, kind) → the steps at which it was measured, in order.
        order: tensor or module → place in the forward pass.
        head_growth: module with a softmax → slope of the head dimension over width, 1 where the
            number of its logits does not grow.
        softmax_feeders: layer whose output goes into attention logits → the same.
        axis: that the sizes are of.
        settling: sizes that no fit counts: too small for the law of a stack to hold.
    """

    values: Mapping[Key, Values]
    facts: Mapping[str, Facts]
    measured_at: Mapping[tuple[str, Kind], list[int]]
    order: Mapping[str, int]
    head_growth: Mapping[str, float]
    softmax_feeders: Mapping[str, float]
    axis: str = WIDTH
    settling: frozenset[int] = frozenset()

    @classmethod
    def of(cls, recording: Recording, axis: str = WIDTH) -> "Evidence":
        """Sort the records of a recording over sizes and seeds into series.

        Args:
            recording: runs that differ in one axis, as `umup_diag.checks.coordcheck.line` gives.
            axis: that one.

        Raises:
            InputError: if the models differ in more than that axis, or not at all.
        """
        values: dict[Key, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        fans: dict[str, dict[int, Fans]] = defaultdict(dict)
        counts: dict[str, dict[int, int]] = defaultdict(dict)
        order: dict[str, int] = {}
        trained: dict[int, dict[str, Fans]] = defaultdict(dict)
        weight_of: dict[str, str | None] = {}
        for frame, record in recording:
            assert frame.step is not None
            tensor, kind = record.tensor, Kind(record.kind)
            size, seed = int(frame.point[axis]), int(frame.point["seed"])
            values[tensor, kind, frame.step][seed][size] = record.value
            order[tensor] = min(record.order, order.get(tensor, record.order))
            if kind in (Kind.LOSS_CHANGE, Kind.GAIN, Kind.ATTENTION_LOGITS):
                counts[tensor][size] = record.statistics.count
                weight_of[tensor] = record.weight_of
                if record.fans is not None:
                    fans[tensor][size] = record.fans
            if kind is Kind.LOSS_CHANGE and record.fans is not None:
                trained[size][tensor] = record.fans
        if axis == WIDTH:
            infer_roles(trained)
        else:
            _require_one_axis(trained, recording, axis)
        steps: dict[tuple[str, Kind], list[int]] = defaultdict(list)
        for tensor, kind, step in sorted(values):
            steps[tensor, kind].append(step)
        typical = {key: _median(values[*key, each[0]]) for key, each in steps.items()}
        facts = {
            tensor: _facts(
                tensor,
                order[tensor],
                typical,
                fans[tensor],
                counts[tensor],
                weight_of[tensor],
                has_role=axis == WIDTH,
            )
            for tensor in sorted(counts, key=lambda tensor: order[tensor])
            if fans[tensor]
        }
        facts = _with_numbers(facts, counts)
        softmaxes = {
            name: 1.0 - _power(counts[name])
            for name, kind, _ in values
            if kind is Kind.ATTENTION_LOGITS
        }
        feeders = {
            name: max(
                (growth for module, growth in softmaxes.items() if _holds(module, name)),
                default=0.0,
            )
            for name, kind, _ in values
            if kind is Kind.FEEDS_SOFTMAX
        }
        sizes = sorted(trained)
        settles = any(map(is_in_stack, facts)) and len(sizes) >= SETTLES_IN
        settling = frozenset(sizes[:1] if settles else ())
        return cls(values, facts, dict(steps), order, softmaxes, feeders, axis, settling)

    @property
    def largest(self) -> int:
        """The largest size of a model."""
        return max(
            size for seeds in self.values.values() for sizes in seeds.values() for size in sizes
        )

    def trend(self, tensor: str, kind: Kind, step: int) -> Trend | None:
        """Of one series; None if it was not measured or has no logarithms."""
        values = self.values.get((tensor, kind, step))
        return None if values is None else trend(values, without=self.settling)

    def narrowing(self, tensor: str) -> float:
        """1 where all that a tensor does passes through values that do not grow in number; else 0.

        Between them for a number that grows like a power of width below 1.
        """
        elements: dict[int, int] = {}
        for widths in self.values.get((tensor, Kind.WIDEST_PATH, 0), {}).values():
            elements |= {width: int(value) for width, value in widths.items()}
        if len(elements) < 2:
            return 0.0
        return min(max(1.0 - _power(elements), 0.0), 1.0)

    def steps(self, tensor: str, kind: Kind) -> list[int]:
        """The steps at which a kind was measured, in order."""
        return self.measured_at.get((tensor, kind), [])


def _with_numbers(
    facts: Mapping[str, Facts], counts: Mapping[str, Mapping[int, int]]
) -> dict[str, Facts]:
    """Let a single number be updated as most tensors are: its sign and its size are one direction.

    Adam's are told by its ε all the same.
    """
    rules = Counter(
        (each.update_rule, each.is_sign)
        for tensor, each in facts.items()
        if max(counts[tensor].values()) > 1
    )
    if not rules:
        return dict(facts)
    (usual, is_sign), _ = rules.most_common(1)[0]
    return {
        tensor: replace(each, update_rule=usual, is_sign=is_sign)
        if max(counts[tensor].values()) == 1 and not each.is_adam
        else each
        for tensor, each in facts.items()
    }


def _median(values: Values) -> float:
    return median([value for widths in values.values() for value in widths.values()])


def _power(counts: Mapping[int, int]) -> float:
    """Of size that a count goes with, between the smallest size and the largest."""
    narrow, wide = min(counts), max(counts)
    return log2(counts[wide] / counts[narrow]) / log2(wide / narrow) if wide > narrow else 0.0


def _require_one_axis(
    trained: Mapping[int, Mapping[str, Fans]], recording: Recording, axis: str
) -> None:
    """Refuse models that cannot be compared along an axis.

    Raises:
        InputError: if a tensor has no counterpart in one of them, or if all of them are the same.
    """
    small, large = min(trained), max(trained)
    for size in sorted(trained):
        if missing := trained[small].keys() ^ trained[size].keys():
            raise InputError(
                f"the models at {axis} {small} and {size} differ in more than the number of "
                f"blocks: {min(missing)!r} exists in only one of them.\n"
                "Blocks are matched by a number in their names that runs from 0 on."
            )
    losses: dict[float, set[float]] = defaultdict(set)
    for frames in recording.runs().values():
        losses[frames[0].point["seed"]].add(frames[0].losses[-1])
    if trained[small] == trained[large] and all(len(each) == 1 for each in losses.values()):
        raise InputError(
            f"nothing changes between {axis} {small} and {large}: does build use its {axis}?"
        )


def _holds(module: str, name: str) -> bool:
    return not module or name.startswith(module + ".")


def is_whole(values: Values) -> bool:
    """Whether nearly all values are positive, and two seeds are at every width."""
    count = sum(len(widths) for widths in values.values())
    kept = usable(values)
    left = sum(len(widths) for widths in kept.values())
    everywhere = {width for widths in values.values() for width in widths}
    seeds = min(sum(width in widths for widths in kept.values()) for width in everywhere)
    return left >= 0.8 * count and seeds >= min(2, len(values))


def _facts(
    tensor: str,
    order: int,
    typical: Mapping[tuple[str, Kind], float],
    fans: Mapping[int, Fans],
    counts: Mapping[int, int],
    weight_of: str | None,
    *,
    has_role: bool,
) -> Facts:
    narrow, wide = min(fans), max(fans)
    grows = has_role and counts[wide] > counts[narrow]
    role = infer_role(fans[narrow], fans[wide]) if grows else None

    # What has betas and ε is one of Adam's, even where ε leaves little of the sign.
    is_adam = (tensor, Kind.EPS_SHARE) in typical
    is_sign = is_adam or typical.get((tensor, Kind.SIGN_COSINE), 0.0) > ALIGNED
    descends = typical.get((tensor, Kind.GRADIENT_COSINE), 0.0) > ALIGNED
    return Facts(
        tensor=tensor,
        order=order,
        role=role,
        update_rule=UpdateRule.SGD if descends and not is_sign else UpdateRule.ADAM,
        is_sign=is_sign,
        is_adam=is_adam,
        weight_of=weight_of,
        growth=_power(counts),
        ends_branch=(tensor, Kind.BRANCH_MULTIPLIER) in typical,
    )
