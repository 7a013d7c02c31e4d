"""The gate's outcomes as one page: each plan with its verdict, linked to its own page."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from umup_diag.checks.result import Finding
from umup_diag.plans import text
from umup_diag.plans.gate import Gate, Outcome
from umup_diag.report import folder
from umup_diag.report.answer import Answer, Change
from umup_diag.report.page import Cell, Page, Table

PAGE = "gate.html"
_WORST_FIRST = ("ERROR", "FAIL", "INCONCLUSIVE", "PASS")


def page(gate: Gate, base: Path) -> Page:
    """The page of all plans.

    Args:
        gate: whose outcomes it shows.
        base: folder that the page will lie in, from which it links to those of the plans.
    """
    ordered = sorted(gate.outcomes, key=lambda outcome: _WORST_FIRST.index(outcome.status))
    statuses = [outcome.status for outcome in ordered]
    return Page(
        title="gate",
        status=gate.status,
        counts=", ".join(
            f"{statuses.count(each)} {each}" for each in reversed(_WORST_FIRST) if each in statuses
        ),
        answer=_answer(ordered),
        table=Table.of(
            gate.outcomes,
            _columns(base),
            verdict=lambda outcome: outcome.status,
            title="Every plan",
            filters=("check", "verdict"),
        ),
        notes=[
            f"{outcome.path}: {note.text}"
            for outcome in ordered
            if outcome.result
            for note in outcome.result.notes
        ],
        details={
            "Environment": next((o.result.environment for o in ordered if o.result), {}),
        },
        document=text.dumps(gate, base=base),
    )


def _answer(ordered: Sequence[Outcome]) -> Answer:
    """The worst plan and its first offender; of every plan that does not pass, what to change."""
    about = f"{len(ordered)} plans, {sum(outcome.seconds for outcome in ordered):.0f} s."
    left = [outcome for outcome in ordered if outcome.status != "PASS"]
    changes = [change for outcome in left for change in _changes(outcome)]
    if not left:
        lead, first = ("Every plan passes" if ordered else "There is no plan"), None
    elif left[0].error is not None:
        lead, first = f"{left[0].path} could not be run", None
    else:
        lead, first = f"First in {left[0].path}", _told(left[0]).first
    return Answer(about=about, lead=lead, first=first, changes=changes)


def _told(outcome: Outcome) -> Answer:
    """What the page of the plan says first; nothing where it has none."""
    if outcome.plan is None or outcome.result is None:
        return Answer(about="", lead="", first=None)
    answer: Answer = outcome.plan.check.view().answer(outcome.result)
    return answer


def _changes(outcome: Outcome) -> Iterator[Change]:
    """What the plan's own page asks for, under the plan's name."""
    told = _told(outcome)
    if outcome.error is not None:
        yield Change(cause="could not be run", action=outcome.error, tensors=(str(outcome.path),))
    elif told.changes:
        for change in told.changes:
            cause = f"{outcome.name}: {change.cause}"
            yield Change(cause=cause, action=change.action, tensors=change.tensors)
    elif told.first is not None:
        cause = ": ".join(filter(None, (outcome.name, told.first.cause)))
        yield Change(cause=cause, action=str(told.first.fix or ""), tensors=(told.first.tensor,))


def _columns(base: Path) -> dict[str, Callable[[Outcome], Cell]]:
    """Heading → cell of the table; the first links to the plan's own page, from `base`."""

    def link(outcome: Outcome) -> str | None:
        if outcome.out is None or outcome.result is None:
            return None
        return quote(Path(os.path.relpath(outcome.out / folder.PAGE, base)).as_posix())

    def of_first(words: Callable[[Finding], str | None]) -> Callable[[Outcome], Cell]:
        def cell(outcome: Outcome) -> Cell:
            first = _told(outcome).first
            return Cell(text=(words(first) if first else None) or "")

        return cell

    return {
        "plan": lambda outcome: Cell(text=str(outcome.path), href=link(outcome)),
        "verdict": lambda outcome: Cell(text=outcome.status),
        "check": lambda outcome: Cell(text=outcome.check),
        "about": lambda outcome: Cell(text=outcome.plan.description if outcome.plan else ""),
        "findings": lambda outcome: Cell(text=outcome.result.counts() if outcome.result else ""),
        "named first": of_first(lambda first: f"{first.tensor} {first.kind}"),
        "measured": of_first(lambda first: first.measured),
        "cause": of_first(lambda first: first.cause),
        "error": lambda outcome: Cell(text=outcome.error or ""),
        "time": lambda outcome: Cell(text=f"{outcome.seconds:.0f} s", key=outcome.seconds),
    }
