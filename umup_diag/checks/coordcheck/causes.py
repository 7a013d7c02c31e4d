"""From slopes that are off to the cause and the fix.

What a layer does is fixed by two products: multiplier × initial weight, and multiplier × update.
The first off alone means the init is wrong, the second alone the learning rate, both by the same
power the multiplier. Whatever else is off follows from one of these: activations from a layer at or
before them, gradients from one at or after them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Verdict
from umup_diag.scaling.kinds import Kind

SAME_POWER = 0.2  #: two deviations this close are one power of width, seen twice
_SEVERITY = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
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
    fix: str
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


def power(exponent: float) -> str:
    """A power of width, its exponent rounded to the half power that it is within 0.2 of."""
    half = round(2 * exponent) / 2
    return f"width^{half:+g}" if abs(exponent - half) <= SAME_POWER else f"width^{exponent:+.2f}"


def _severity(finding: SlopeFinding) -> tuple[float, ...]:
    failing = finding.verdict is Verdict.FAIL
    size = -round(abs(finding.deviation), 1) if failing else 0.0
    return _SEVERITY[finding.verdict], size, finding.order


def _roots(findings: Sequence[SlopeFinding]) -> dict[str, Root]:
    """Each layer that is wrong by itself, in forward order."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    roots: dict[str, Root] = {}
    for finding in sorted(failing, key=lambda finding: finding.order):
        tensor = finding.tensor
        off = {other.kind: other.deviation for other in failing if other.tensor == tensor}
        if found := _cause(off, has_upstream=bool(roots)):
            cause, fix = found
            at_init = finding.kind == Kind.ATTENTION_LOGITS or Kind.WEIGHT in off
            roots[tensor] = Root(
                tensor=tensor, order=finding.order, cause=cause, fix=fix, at_init=at_init
            )
    return roots


def _cause(off: Mapping[str, float], *, has_upstream: bool) -> tuple[str, str] | None:
    """Cause and fix from the deviations of one layer, if it is wrong by itself."""
    init, update = off.get(Kind.WEIGHT), off.get(Kind.UPDATE)
    logits = off.get(Kind.ATTENTION_LOGITS)
    if logits is not None and not has_upstream:
        return "attention scale", f"multiply the attention logits by {power(-logits)}"
    if init is not None and update is not None and abs(init - update) <= SAME_POWER:
        return "multiplier", f"multiply the multiplier by {power(-init)}"
    causes = []
    fixes = []
    if init is not None:
        causes.append("init")
        fixes.append(f"the initial weights by {power(-init)}")
    if update is not None:
        causes.append("learning rate")
        fixes.append(f"the learning rate by {power(-update)}")
    return (" and ".join(causes), "multiply " + " and ".join(fixes)) if causes else None


def _explain(finding: SlopeFinding, roots: Mapping[str, Root]) -> SlopeFinding:
    own = roots.get(finding.tensor)
    if own and (finding.kind in _OWN or finding.kind == Kind.ATTENTION_LOGITS):
        return replace(finding, cause=own.cause, fix=own.fix)
    if finding.kind in _BACKWARD:
        after = [root for root in roots.values() if root.at_init and root.order >= finding.order]
        if not after:
            fix = f"multiply the gradient by {power(-finding.deviation)}"
            return replace(finding, cause="gradient scale, here or nearer the loss", fix=fix)
        return replace(finding, cause=f"follows from {after[-1].tensor}")
    before = [root for root in roots.values() if root.order < finding.order]
    return replace(finding, cause=f"follows from {before[0].tensor}" if before else "unknown")
