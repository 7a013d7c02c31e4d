"""From slopes that are off to the cause and the fix.

What a layer does is fixed by two products: multiplier × initial weight, and multiplier × update.
The first off alone means the init is wrong, the second alone the learning rate, both by the same
power the multiplier. Whatever else is off follows from one of these, in this layer or upstream.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from umup_diag.judge.result import Verdict
from umup_diag.judge.slope_finding import SlopeFinding
from umup_diag.scaling.kinds import Kind

SAME_POWER = 0.2  #: two deviations this close are one power of width, seen twice
_SEVERITY = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}


def explain(findings: Iterable[SlopeFinding]) -> Sequence[SlopeFinding]:
    """Give every failing finding its cause and fix; worst first, then in forward order.

    Takes and returns all findings of one sweep.
    """
    findings = list(findings)
    roots = {tensor: _root(list(group)) for tensor, group in _by_tensor(findings).items()}
    first = first_offender(findings)
    explained = [
        _explain(finding, roots[finding.tensor], first)
        if finding.verdict is Verdict.FAIL
        else finding
        for finding in findings
    ]
    return sorted(
        explained,
        key=lambda finding: (
            _SEVERITY[finding.verdict],
            -round(abs(finding.deviation), 1) if finding.verdict is Verdict.FAIL else 0,
            finding.order,
        ),
    )


def first_offender(findings: Iterable[SlopeFinding]) -> SlopeFinding | None:
    """The failing finding that comes first: at init before after updates, then in forward order."""
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    return min(failing, key=lambda finding: (finding.order, finding.step), default=None)


def power(exponent: float) -> str:
    """A power of width, its exponent rounded to the half power that it is within 0.2 of."""
    half = round(2 * exponent) / 2
    return f"width^{half:+g}" if abs(exponent - half) <= SAME_POWER else f"width^{exponent:+.2f}"


def _by_tensor(findings: Sequence[SlopeFinding]) -> dict[str, list[SlopeFinding]]:
    groups: dict[str, list[SlopeFinding]] = {}
    for finding in findings:
        groups.setdefault(finding.tensor, []).append(finding)
    return groups


def _root(findings: Sequence[SlopeFinding]) -> tuple[str, str] | None:
    """Cause and fix of what is wrong with a layer itself, if anything is."""
    off = {
        finding.kind: finding.deviation
        for finding in findings
        if finding.verdict is Verdict.FAIL and finding.kind in (Kind.WEIGHT, Kind.UPDATE)
    }
    init, update = off.get(Kind.WEIGHT), off.get(Kind.UPDATE)
    if init is not None and update is not None and abs(init - update) <= SAME_POWER:
        return "multiplier", f"multiply its multiplier by {power(-init)}"
    fixes = {"init": ("initial weights", init), "learning rate": ("learning rate", update)}
    wrong = {name: (what, value) for name, (what, value) in fixes.items() if value is not None}
    if not wrong:
        return None
    fix = " and ".join(f"multiply its {what} by {power(-value)}" for what, value in wrong.values())
    return " and ".join(wrong), fix


def _explain(
    finding: SlopeFinding, root: tuple[str, str] | None, first: SlopeFinding | None
) -> SlopeFinding:
    if root is not None:
        return replace(finding, cause=root[0], fix=root[1])
    assert first is not None
    if finding.kind == Kind.ATTENTION_LOGITS:
        fix = f"multiply the softmax scale by {power(-finding.deviation)}"
        return replace(finding, cause="attention scale", fix=fix)
    if (finding.order, finding.step) > (first.order, first.step):
        return replace(finding, cause=f"follows from {first.tensor}", fix=None)
    return replace(finding, cause="unknown", fix=None)
