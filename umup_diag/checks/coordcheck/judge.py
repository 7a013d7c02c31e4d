"""The coord check: what each tensor does to the loss, and what each layer does to its input.

The verdict rests on the loss change of every tensor and the gain of every layer, which hold for any
architecture and any optimizer; what else was measured explains.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import isfinite, isinf

from umup_diag.checks.coordcheck import COORDCHECK, verification
from umup_diag.checks.coordcheck.decision import EDGE, Decision
from umup_diag.checks.coordcheck.diagnosis import Diagnosis, Explanation
from umup_diag.checks.coordcheck.epsilon import epsilon_notes
from umup_diag.checks.coordcheck.finding import NonFiniteFinding, SlopeFinding
from umup_diag.checks.coordcheck.line import is_in_stack, is_total
from umup_diag.checks.coordcheck.measuring import Measured
from umup_diag.checks.coordcheck.over_axis import ENOUGH_BLOCKS
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.reading import Reading
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.coordcheck.trend import MOST_SEEDS
from umup_diag.checks.fix import Advice, Fix
from umup_diag.checks.result import Finding, Note, NoteKind, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.recording import Recording
from umup_diag.recording.frame import describe_point
from umup_diag.scaling.kinds import Kind
from umup_diag.settings.axes import WIDTH

#: Share of the findings that may be too noisy to decide, near to what is right, in a model that
#: passes: a rare expert or a scalar does not speak against the rest.
MOST_UNSETTLED = 0.1
FILLED_IN = "filled_in"  #: of a recording's environment: what the model was built with, in words
_OF_SOFTMAX = (Kind.ATTENTION_LOGITS, Kind.ATTENTION_LOGITS_CHANGE)


def judge(recording: Recording, settings: CoordcheckSettings) -> Result:
    """Judge a sweep: a run that diverged, or else every slope, worst first.

    Args:
        recording: of `umup_diag.checks.coordcheck.measure.sweep`.
        settings: as `umup_diag.checks.coordcheck.measure.complete` leaves them.

    Raises:
        InputError: if the models differ in more than an axis, or do not change with it.
    """
    plain, fixed = verification.split(recording)
    result = _judge(plain, settings)
    if not settings.verify_fix:
        return result
    again = _judge(fixed, settings) if fixed.frames else None
    return replace(result, notes=(*result.notes, *verification.notes(plain, again, settings)))


def _judge(recording: Recording, settings: CoordcheckSettings) -> Result:
    findings: Sequence[Finding] = _non_finite(recording)
    if findings:
        text = "Slopes are not judged: a loss is not finite."
        notes = [Note(kind=NoteKind.NOT_JUDGED, text=text)]
    else:
        findings, notes = _judge_axes(recording, settings)
    return Result(
        command=COORDCHECK.name,
        settings=settings.encode(),
        environment={**recording.environment, "seed": settings.seed},
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _judge_axes(
    recording: Recording, settings: CoordcheckSettings
) -> tuple[Sequence[Finding], list[Note]]:
    findings: list[SlopeFinding] = []
    notes: list[Note] = []
    foretold: list[Note] = []
    open_: list[Decision] = []
    for axis in settings.axes:
        along, said, undecided, later = _judge_slopes(recording, settings, axis)
        findings, notes, open_ = findings + along, notes + said, open_ + undecided
        foretold += later
    findings.sort(key=lambda each: (each.verdict.severity, each.fix is None, each.order))
    if open_:
        notes += _how_to_settle(open_, settings, recording)
    if filled_in := recording.environment.get(FILLED_IN):
        notes.append(Note(kind=NoteKind.REMARK, text=f"The model: {filled_in}"))
    return findings, notes + foretold + _cautions(settings)


def _judge_slopes(
    recording: Recording, settings: CoordcheckSettings, axis: str
) -> tuple[list[SlopeFinding], list[Note], list[Decision], list[Note]]:
    """Findings along an axis, what was not judged, what seeds may settle, and what ε does."""
    reading = Reading.of(recording, settings, axis)
    measured, decisions, diagnosis = reading.measured, reading.decisions, reading.diagnosis
    judged = [
        question
        for question in measured.questions.values()
        if question.is_decisive or diagnosis.rests_on(question)
    ]
    unsettled = [each for each in judged if decisions[each.key].is_unsettled]
    if sum(not each.may_stay_open for each in unsettled) > MOST_UNSETTLED * len(judged):
        unsettled = []
    left_out = {each.key for each in unsettled}
    findings = [
        _finding(each, decisions[each.key], measured, diagnosis)
        for each in judged
        if each.key not in left_out
    ]
    open_ = [decisions[each.key] for each in judged if each.key not in left_out]
    return (
        findings,
        _not_judged(measured, unsettled) + _held_to(measured, settings) + _too_few(measured),
        [] if diagnosis.roots else open_,
        epsilon_notes(reading.evidence),
    )


def _finding(
    question: Question, decision: Decision, measured: Measured, diagnosis: Diagnosis
) -> SlopeFinding:
    facts = measured.facts.get(question.tensor)
    role: str = facts.role if facts and facts.role else "other"
    if is_in_stack(question.tensor):
        role = "stack" if is_total(question.tensor) else "block"
    low, high = question.accepted.low, question.accepted.high
    why = _why(question, decision, diagnosis)
    return SlopeFinding(
        tensor=question.tensor,
        kind=question.kind,
        step=question.step,
        role="softmax" if question.kind in _OF_SOFTMAX else role,
        order=question.order,
        slope=question.found.slope,
        interval=question.found.interval(),
        expected=low if isinf(high) else high,
        band=EDGE,
        accepted=(low - EDGE, high + EDGE),
        verdict=decision.verdict,
        cause=why.cause if why else None,
        follows=why.follows if why else None,
        fix=why.fix if why else None,
        points=question.found.points,
        axis=measured.axis,
    )


def _why(question: Question, decision: Decision, diagnosis: Diagnosis) -> Explanation | None:
    """Why a finding fails, or what would decide it."""
    if decision.verdict is Verdict.PASS:
        return None
    if decision.verdict is Verdict.FAIL:
        return diagnosis.of(question)
    if diagnosis.roots:
        why = diagnosis.of(question)
        return Explanation(
            cause=f"not decided; if it is off, {why.cause}", follows=why.follows, fix=None
        )
    if question.found.freedom < 1:
        return Explanation(cause="one seed gives no interval; use --seeds 5")
    interval = f"the interval is ±{question.found.half_width():.2f}"
    if decision.seeds is None:
        settles = f"no number of seeds below {MOST_SEEDS} would settle it; use larger widths"
        return Explanation(cause=f"{interval}: {settles}")
    return Explanation(cause=f"{interval}: about {decision.seeds} seeds would settle it")


def _non_finite(recording: Recording) -> list[NonFiniteFinding]:
    """Runs that ended in a loss that is not finite, each with the first tensor that went so."""
    findings = []
    for frames in recording.runs().values():
        last = frames[-1]
        loss, step = last.losses[-1], last.step
        if isfinite(loss):
            continue
        assert step is not None
        tensor, kind, where = "loss", "loss", "all recorded tensors are finite"
        for frame in frames:
            broken = [r for r in frame.records if r.statistics.nonfinite_count]
            if broken:
                first = min(broken, key=lambda r: r.order)
                tensor, kind = first.tensor, first.kind
                where = f"first seen in the {kind} of {tensor}, after {frame.step} updates"
                break
        sizes = {name: int(size) for name, size in last.point.items()}
        width, seed = sizes.pop(WIDTH), sizes.pop("seed")
        at = describe_point({WIDTH: width, **sizes, "seed": seed}, equals=" ")
        advice = "lower --lr" if step else "look at the init: no update was done yet"
        findings.append(
            NonFiniteFinding(
                tensor=tensor,
                kind=kind,
                verdict=Verdict.FAIL,
                width=width,
                sizes=sizes,
                seed=seed,
                step=step,
                loss=loss,
                cause=f"the loss is {loss} after {step} updates at {at}; {where}",
                fix=Fix(tensor=tensor, steps=(Advice(text=advice),)),
            )
        )
    return findings


def _not_judged(measured: Measured, unsettled: Sequence[Question]) -> list[Note]:
    why: dict[str, Collection[str]] = {
        "no update gives a gradient to speak of": measured.silent,
        "noise leaves undecided": {each.tensor for each in unsettled},
    }
    return [
        Note(
            kind=NoteKind.NOT_JUDGED,
            text=f"Not judged: {', '.join(sorted(tensors))}, which {reason}.",
        )
        for reason, tensors in why.items()
        if tensors
    ]


def _held_to(measured: Measured, settings: CoordcheckSettings) -> list[Note]:
    """Whose rule blocks are held to, where the target has none."""
    if measured.held_to == settings.target:
        return []
    text = (
        f"{settings.target} says nothing of {measured.axis}: blocks are held to "
        f"{measured.held_to}, whose learning rates are nearest."
    )
    return [Note(kind=NoteKind.REMARK, text=text)]


def _too_few(measured: Measured) -> list[Note]:
    """That what blocks do to the loss is not judged, where there are few of them."""
    if measured.settles:
        return []
    text = (
        f"Loss changes in blocks are not judged: with fewer than {ENOUGH_BLOCKS} of them what each "
        f"adds to the stream is not small. Let {measured.axis} go further, as in 2..16."
    )
    return [Note(kind=NoteKind.NOT_JUDGED, text=text)]


def _how_to_settle(
    decisions: Sequence[Decision], settings: CoordcheckSettings, recording: Recording
) -> list[Note]:
    """The one command that would decide everything that seeds can decide."""
    seeds = [each.seeds for each in decisions if each.seeds is not None]
    if not seeds:
        return []
    done = len({frame.point["seed"] for frame in recording.frames})
    more = replace(settings, seeds=max(*seeds, done + 1))
    text = f"To settle what is not decided: umup-diag {COORDCHECK.name} {more.command_line}"
    return [Note(kind=NoteKind.REMARK, text=text)]


def _cautions(settings: CoordcheckSettings) -> list[Note]:
    tokens = settings.batch_size * settings.seq_len
    narrowest = min(place[WIDTH] for place in settings.places)
    if 2 * tokens <= narrowest:
        return []
    text = (
        f"{tokens} tokens a batch are not well below the smallest width, {narrowest}: changes "
        "of outputs then mix two powers of width. Use a smaller batch or larger widths."
    )
    return [Note(kind=NoteKind.CAUTION, text=text)]
