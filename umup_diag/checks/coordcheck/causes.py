"""From slopes that are off to the cause and the fix.

What a layer does is fixed by two products: multiplier × initial weight, and multiplier × update.
If only the first is off, the init is wrong; if only the second, the learning rate; if both are off
by the same power, the multiplier. Whatever else is off follows from one of these: activations from
a layer at or before them, gradients from one at or after them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.fix import SAME_POWER, Fix, Multiply
from umup_diag.checks.verdict import Verdict
from umup_diag.scaling.kinds import Kind

_OWN = frozenset({Kind.WEIGHT, Kind.UPDATE, Kind.OUTPUT, Kind.OUTPUT_CHANGE})
_BACKWARD = frozenset({Kind.GRAD_OUTPUT, Kind.WEIGHT_GRAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What is wrong with one layer by itself.

    Attributes:
        tensor: the layer.
        order: its place in the forward pass.
        cause: in words.
        fix: what to multiply by which power of width.
        at_init: whether the first forward and backward pass show it.
    """

    tensor: str
    order: int
    cause: str
    fix: Fix
    at_init: bool


def explain(findings: Sequence[SlopeFinding]) -> list[SlopeFinding]:
    """Give every failing finding of a sweep its cause and fix; sort worst first."""
    roots = _roots(findings)
    explained = [
        _explain(finding, roots) if finding.verdict is Verdict.FAIL else finding
        for finding in findings
    ]
    return sorted(explained, key=_severity)


def first_offender(findings: Sequence[SlopeFinding]) -> SlopeFinding | None:
    """The failing finding that comes first in the forward pass, with a fix if any has one."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    return min(
        failing,
        key=lambda finding: (finding.fix is None, finding.order, finding.step),
        default=None,
    )


def _severity(finding: SlopeFinding) -> tuple[float, ...]:
    is_failing = finding.verdict is Verdict.FAIL
    size = -round(abs(finding.deviation), 1) if is_failing else 0.0
    return finding.verdict.severity, size, finding.order


def _roots(findings: Sequence[SlopeFinding]) -> dict[str, Root]:
    """Each layer that is wrong by itself, in forward order."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    roots: dict[str, Root] = {}
    for finding in sorted(failing, key=lambda finding: finding.order):
        tensor = finding.tensor
        off = {other.kind: other.deviation for other in failing if other.tensor == tensor}
        if wrong := _cause(off, has_upstream=bool(roots)):
            cause, steps = wrong
            roots[tensor] = Root(
                tensor=tensor,
                order=finding.order,
                cause=cause,
                fix=Fix(tensor=tensor, steps=steps),
                at_init=finding.kind == Kind.ATTENTION_LOGITS or Kind.WEIGHT in off,
            )
    return roots


def _cause(
    off: Mapping[str, float], *, has_upstream: bool
) -> tuple[str, tuple[Multiply, ...]] | None:
    """Cause and fix from the deviations of one layer, if it is wrong by itself."""
    init, update = off.get(Kind.WEIGHT), off.get(Kind.UPDATE)
    logits = off.get(Kind.ATTENTION_LOGITS)
    if logits is not None and not has_upstream:
        return "attention scale", (Multiply(what="attention logits", exponent=-logits),)
    if init is not None and update is not None and abs(init - update) <= SAME_POWER:
        return "multiplier", (Multiply(what="multiplier", exponent=-init),)
    wrong = [
        (cause, Multiply(what=what, exponent=-deviation))
        for cause, what, deviation in (
            ("init", "initial weights", init),
            ("learning rate", "learning rate", update),
        )
        if deviation is not None
    ]
    if not wrong:
        return None
    causes, steps = zip(*wrong, strict=True)
    return " and ".join(causes), steps


def _explain(finding: SlopeFinding, roots: Mapping[str, Root]) -> SlopeFinding:
    own = roots.get(finding.tensor)
    if own and (finding.kind in _OWN or finding.kind == Kind.ATTENTION_LOGITS):
        return replace(finding, cause=own.cause, fix=own.fix)
    if finding.kind in _BACKWARD:
        after = [root for root in roots.values() if root.at_init and root.order >= finding.order]
        if after:
            return _follow(finding, after[-1])
        step = Multiply(what="gradient", exponent=-finding.deviation)
        return replace(
            finding,
            cause="gradient scale, here or nearer the loss",
            fix=Fix(tensor=finding.tensor, steps=(step,)),
        )
    before = [root for root in roots.values() if root.order < finding.order]
    return _follow(finding, before[0]) if before else replace(finding, cause="unknown")


def _follow(finding: SlopeFinding, root: Root) -> SlopeFinding:
    return replace(finding, cause=f"follows from {root.tensor}", follows=root.tensor)
