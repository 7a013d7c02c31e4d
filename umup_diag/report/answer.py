"""The answer of a result: what to say before any table or picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.report.names import collapse


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to change, and where.

    Attributes:
        cause: what is wrong, in words.
        action: what to do; empty where nothing is known to help.
        tensors: that are changed, numbers of layers starred.
    """

    cause: str
    action: str
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reader is told first.

    Attributes:
        about: what was run, and on what, in words.
        lead: what stands before the finding that is named: "First offender in forward order".
        first: the finding that says most; None where nothing was judged.
        changes: what to do, in forward order.
        code: lines to paste.
    """

    about: str
    lead: str
    first: Finding | None
    changes: Sequence[Change] = ()
    code: str = ""


def changes(findings: Iterable[Finding], *, among: Iterable[str]) -> list[Change]:
    """Findings with a cause and a fix; those with the same ones together.

    Args:
        findings: in the order in which changes are told.
        among: all tensors; a name is starred only if all its siblings have the same change.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding.cause and finding.fix:
            groups.setdefault((finding.cause, str(finding.fix)), []).append(finding.tensor)
    named = list(among)
    return [
        Change(cause=cause, action=action, tensors=tuple(collapse(tensors, among=named)))
        for (cause, action), tensors in groups.items()
    ]


def told_first(
    result: Result, *, offender: Finding | None, lead: str, nearest: Finding | None
) -> tuple[str, Finding | None]:
    """The finding to name, and the words before it.

    Args:
        result: of any check.
        offender: to name where it fails.
        lead: the words before `offender`.
        nearest: to name where all pass: the one that comes nearest to failing.
    """
    match result.verdict:
        case Verdict.FAIL:
            return lead, offender
        case Verdict.PASS:
            said = "All within what is accepted"
            return (said if nearest is None else f"{said}. Nearest to its edge"), nearest
        case Verdict.INCONCLUSIVE:
            undecided = [f for f in result.findings if f.verdict is Verdict.INCONCLUSIVE]
            return ("Not decided", undecided[0]) if undecided else ("Nothing was judged", None)
        case _:
            assert_never(result.verdict)


def plain(result: Result) -> Answer:
    """The answer of a check that has nothing of its own to say."""
    failing = [finding for finding in result.findings if finding.verdict is Verdict.FAIL]
    offender = next(iter(failing), None)
    lead, first = told_first(result, offender=offender, lead="First offender", nearest=None)
    about = str(result.settings.get("model", result.command))
    named = [finding.tensor for finding in result.findings]
    return Answer(about=about, lead=lead, first=first, changes=changes(failing, among=named))
