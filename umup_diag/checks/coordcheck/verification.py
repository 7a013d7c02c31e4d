"""Whether the fixes that a coord check names do help: what to change, and what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite

from umup_diag.checks.coordcheck.diagnosis import Root
from umup_diag.checks.coordcheck.finding import SlopeFinding, first_offender
from umup_diag.checks.coordcheck.reading import Reading
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.fix import Multiply, rounded
from umup_diag.checks.result import Note, NoteKind, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.rescaled import Lever, Rescaling
from umup_diag.recording import Frame, Recording
from umup_diag.report.names import collapse
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.schemes import UpdateRule

FIXED = "fixed"  #: axis of the runs with the fixes


def marked(frame: Frame) -> Frame:
    """A frame of a run with the fixes."""
    return replace(frame, point={**frame.point, FIXED: 1})


def split(recording: Recording) -> tuple[Recording, Recording]:
    """The runs of the model as it is, and those with the fixes, each as if it were alone."""

    def part(is_fixed: bool) -> Recording:
        return Recording(
            command=recording.command,
            settings=recording.settings,
            environment=recording.environment,
            frames=[
                replace(frame, point={k: v for k, v in frame.point.items() if k != FIXED})
                for frame in recording.frames
                if (FIXED in frame.point) is is_fixed
            ],
        )

    return part(False), part(True)


def changes(plain: Recording, settings: CoordcheckSettings) -> list[Rescaling]:
    """What of the fixes can be applied from outside; nothing after a loss that is not finite."""
    if not all(map(isfinite, plain.losses)):
        return []
    reading = Reading.of(plain, settings)
    return [
        change for root in reading.diagnosis.roots.values() for change in _rescalings(root, reading)
    ]


def notes(plain: Recording, fixed: Result | None, settings: CoordcheckSettings) -> list[Note]:
    """What came of it, in words.

    Args:
        plain: the runs of the model as it is.
        fixed: judgement of those with the fixes; None if there are none.
        settings: of the check.
    """
    if not all(map(isfinite, plain.losses)):
        return [_note("Nothing to verify: the loss is not finite.")]
    reading = Reading.of(plain, settings)
    roots = reading.diagnosis.roots
    if not roots:
        return [_note("Nothing to verify: no fix is named.")]
    left = [root.tensor for root in roots.values() if not list(_rescalings(root, reading))]
    every = {*reading.measured.facts, *reading.evidence.head_growth}
    said = []
    if fixed is not None:
        applied = [root.tensor for root in roots.values() if root.tensor not in left]
        named = ", ".join(collapse(applied, among=every))
        said.append(_note(f"With the fix applied to {named}: {_came(fixed)}"))
    if left:
        names = ", ".join(collapse(left, among=every))
        said.append(_note(f"Not verified, for it cannot be applied from outside: {names}."))
    return said


def _came(fixed: Result) -> str:
    slopes = [each for each in fixed.findings if isinstance(each, SlopeFinding)]
    first = first_offender(slopes)
    match fixed.verdict:
        case Verdict.PASS:
            return f"PASS ({fixed.counts()})."
        case Verdict.FAIL if first is not None:
            return f"still FAIL ({fixed.counts()}); first offender {first.sentence}."
        case verdict:
            return f"{verdict} ({fixed.counts()})."


def _note(text: str) -> Note:
    return Note(kind=NoteKind.VERIFIED, text=text)


def _rescalings(root: Root, reading: Reading) -> Iterator[Rescaling]:
    """A root's fix, as what can be multiplied from outside."""
    tensor = root.tensor
    facts = reading.measured.facts.get(tensor)
    is_trained = bool(reading.evidence.steps(tensor, Kind.LOSS_CHANGE))
    squared = facts is not None and facts.update_rule is UpdateRule.SGD
    for step in root.fix.steps:
        if not isinstance(step, Multiply) or step.exponent is None:
            continue
        levers = _levers(step.what, rounded(step.exponent), squared=squared)
        if is_trained or step.what == Lever.LOGITS:
            for lever, exponent in levers:
                yield Rescaling(tensor=tensor, lever=lever, exponent=exponent)


def _levers(what: str, power: float, *, squared: bool) -> Sequence[tuple[Lever, float]]:
    """What a factor on something is, in levers; none if it cannot be had from outside.

    The product of rate and weight decay is another rule's, and stays as it is.
    """
    if what == "multiplier":  # abc-symmetry: start and move the weight that much further
        rate = 2 * power if squared else power
        return [(Lever.INIT, power), (Lever.RATE, rate), (Lever.DECAY, -rate)]
    if what == Lever.RATE:
        return [(Lever.RATE, power), (Lever.DECAY, -power)]
    return [(lever, power) for lever in Lever if lever == what]
