"""Whether tensors fit in FP8, now and as training goes on."""

from collections.abc import Sequence
from math import isfinite, log2

from umup_diag.checks.fp8_range.finding import RangeFinding
from umup_diag.checks.fp8_range.forecast import Forecast, forecast
from umup_diag.checks.fp8_range.format_fit import Flag, FormatFit, explain, fit, remedy
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.target_formats import target_formats
from umup_diag.checks.result import Note, NoteKind, Result, Verdict
from umup_diag.numerics import formats
from umup_diag.numerics.block import SELF_SCALED
from umup_diag.recording import Recording, TensorRecord
from umup_diag.scaling.kinds import kind_order

HORIZON = 3
"""How far ahead is forecast, in lengths of what was recorded."""

#: Settings that `measure` has applied: they say which tensors and steps there are.
_SELECTION = ("include", "exclude", "until")

Moment = tuple[int | None, TensorRecord]  #: a step and a tensor then


def judge(recording: Recording, settings: RangeSettings) -> Result:
    """Judge every tensor of a recording whose frames are in the order of steps.

    Raises:
        InputError: for an unknown format, or a block format whose casts were not measured.
    """
    tensors: dict[tuple[str, str], list[Moment]] = {}
    for frame, record in recording:
        tensors.setdefault((record.tensor, record.kind), []).append((frame.step, record))
    findings = [_finding(moments, settings, len(tensors)) for moments in tensors.values()]
    findings.sort(key=_worst_first)
    judging = RangeSettings.decode(settings.encode()).encode()
    return Result(
        command="fp8-range",
        settings={
            **recording.settings,
            **{name: value for name, value in judging.items() if name not in _SELECTION},
        },
        environment=recording.environment,
        findings=tuple(findings),
        notes=(
            *(Note(kind=NoteKind(kind), text=text) for kind, text in recording.notes),
            *_notes(findings),
        ),
    )


def _finding(moments: Sequence[Moment], settings: RangeSettings, tensors: int) -> RangeFinding:
    name, *others = target_formats(moments[0][1].kind, settings.formats)
    fits = [fit(record, name, settings) for _, record in moments]
    worst = max(range(len(fits)), key=lambda at: (*_badness(fits[at]), at))
    (step, record), held_to = moments[worst], fits[worst]
    other_formats = [fit(record, other, settings) for other in others]
    points = tuple((at, each.rms, each.histogram.absmax) for at, each in moments)
    forecasts = _forecasts(points, name, settings.horizon, tensors)
    crossings = [each.words for each in forecasts if each.verdict is Verdict.FAIL]
    causes = [explain(record, held_to, settings), *crossings]
    is_near = settings.strict and (held_to.flag is not Flag.OK or bool(crossings))
    return RangeFinding(
        tensor=record.tensor,
        kind=record.kind,
        verdict=Verdict.FAIL if held_to.flag.fails or is_near else Verdict.PASS,
        cause="; ".join(filter(None, causes)) or None,
        fix=remedy(record, held_to, other_formats, settings),
        step=step,
        since=next(
            at for (at, _), each in zip(moments, fits, strict=True) if each.flag is held_to.flag
        ),
        order=record.order,
        count=record.histogram.count,
        rms=record.rms,
        absmax=record.histogram.absmax,
        smallest_nonzero=record.histogram.smallest_nonzero,
        held_to=held_to,
        other_formats=tuple(other_formats),
        points=points,
        forecasts=forecasts,
    )


def _badness(fits: FormatFit) -> tuple[int, float, float]:
    lost = fits.overflow_fraction + fits.underflow_fraction
    return fits.flag.severity, lost, -fits.headroom_high


def _forecasts(
    points: Sequence[tuple[int | None, float, float]], name: str, horizon: int | None, tensors: int
) -> tuple[Forecast, ...]:
    """Of absmax towards the largest value, and of RMS towards the smallest normal one."""
    known = [(step, rms, absmax) for step, rms, absmax in points if step is not None]
    if len(known) < 3 or name in SELF_SCALED:
        return ()
    fmt, steps = formats.get(name), [step for step, _, _ in known]
    last = steps[-1] + (horizon or HORIZON * (steps[-1] - steps[0]))
    quantities = (
        ("absmax", [_log2(absmax) for _, _, absmax in known], log2(fmt.overflow_threshold), True),
        ("rms", [_log2(rms) for _, rms, _ in known], log2(fmt.min_normal), False),
    )
    forecasts = (
        forecast(
            quantity,
            steps,
            values,
            limit,
            upwards=upwards,
            horizon=last,
            series=len(quantities) * tensors,
        )
        for quantity, values, limit, upwards in quantities
    )
    return tuple(each for each in forecasts if each is not None)


def _log2(value: float) -> float:
    return log2(value) if value > 0 and isfinite(value) else float("nan")


def _worst_first(finding: RangeFinding) -> tuple[float, ...]:
    crossing, fits = finding.crossing, finding.held_to
    room = min(fits.headroom_high, fits.headroom_low)
    return (
        -fits.flag.severity,
        -(fits.overflow_fraction + fits.underflow_fraction),
        crossing.crossing or 0.0 if crossing else float("inf"),
        room if isfinite(room) else float("inf"),
        kind_order(finding.kind),
        finding.order,
    )


def _notes(findings: Sequence[RangeFinding]) -> list[Note]:
    notes = []
    empty = sum(not finding.count for finding in findings)
    if empty:
        notes.append(Note(kind=NoteKind.REMARK, text=f"Tensors without elements: {empty}."))
    if any(finding.held_to.format in SELF_SCALED for finding in findings):
        text = (
            "In a block format every few elements have a scale of their own: what is judged is the "
            "share that becomes zero beside a larger neighbour."
        )
        notes.append(Note(kind=NoteKind.CAUTION, text=text))
    return notes
