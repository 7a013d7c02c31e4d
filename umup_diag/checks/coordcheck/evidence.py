"""A recording as trends over width, with what is known of each tensor."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log2
from statistics import median

from umup_diag.checks.coordcheck.trend import Trend, Values, trend, usable
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans, Role, infer_role, infer_roles
from umup_diag.scaling.schemes import UpdateRule

Key = tuple[str, Kind, int]  #: tensor, kind, step
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
    """

    tensor: str
    order: int
    role: Role | None
    update_rule: UpdateRule
    is_sign: bool
    is_adam: bool
    weight_of: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All series of a sweep.

    Attributes:
        values: (tensor, kind, step) → seed → width → value.
        facts: of each tensor, in forward order.
        measured_at: (tensor, kind) → the steps at which it was measured, in order.
        order: tensor or module → place in the forward pass.
        head_growth: module with a softmax → slope of the head dimension over width, 1 where the
            number of its logits does not grow.
        softmax_feeders: layer whose output goes into attention logits → the same.
    """

    values: Mapping[Key, Values]
    facts: Mapping[str, Facts]
    measured_at: Mapping[tuple[str, Kind], list[int]]
    order: Mapping[str, int]
    head_growth: Mapping[str, float]
    softmax_feeders: Mapping[str, float]

    @classmethod
    def of(cls, recording: Recording) -> "Evidence":
        """Sort the records of a recording over widths and seeds into series.

        Raises:
            InputError: if the models differ in more than width, or not at all.
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
            width, seed = int(frame.point["width"]), int(frame.point["seed"])
            values[tensor, kind, frame.step][seed][width] = record.value
            order[tensor] = min(record.order, order.get(tensor, record.order))
            if kind in (Kind.LOSS_CHANGE, Kind.GAIN, Kind.ATTENTION_LOGITS):
                counts[tensor][width] = record.statistics.count
                weight_of[tensor] = record.weight_of
                if record.fans is not None:
                    fans[tensor][width] = record.fans
            if kind is Kind.LOSS_CHANGE and record.fans is not None:
                trained[width][tensor] = record.fans
        infer_roles(trained)
        steps: dict[tuple[str, Kind], list[int]] = defaultdict(list)
        for tensor, kind, step in sorted(values):
            steps[tensor, kind].append(step)
        typical = {key: _median(values[*key, each[0]]) for key, each in steps.items()}
        facts = {
            tensor: _facts(
                tensor, order[tensor], typical, fans[tensor], counts[tensor], weight_of[tensor]
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
        return cls(values, facts, dict(steps), order, softmaxes, feeders)

    def trend(self, tensor: str, kind: Kind, step: int) -> Trend | None:
        """Of one series; None if it was not measured or has no logarithms."""
        values = self.values.get((tensor, kind, step))
        return None if values is None else trend(values)

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
    """Of width that a count goes with, between the first width and the last."""
    narrow, wide = min(counts), max(counts)
    return log2(counts[wide] / counts[narrow]) / log2(wide / narrow) if wide > narrow else 0.0


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
) -> Facts:
    narrow, wide = min(fans), max(fans)
    grows = counts[wide] > counts[narrow]
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
    )
