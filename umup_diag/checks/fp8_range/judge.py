"""Whether tensors fit in FP8, now and as training goes on."""

from collections.abc import Sequence
from math import isfinite, log10

from umup_diag.checks.fp8_range.finding import RangeFinding
from umup_diag.checks.fp8_range.forecast import Forecast
from umup_diag.checks.fp8_range.format_fit import Flag, FormatFit, explain, fit, remedy
from umup_diag.checks.fp8_range.outlook import QUANTITIES, outlook
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.target_formats import targets
from umup_diag.checks.result import Note, NoteKind, Result, Verdict
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.recording import Recording, TensorRecord
from umup_diag.scaling.kinds import kind_order

BIT_DB = 20 * log10(2)
"""What one bit of mantissa is worth: a plain cast that loses no more needs no scale."""

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
            *_sample_notes(recording),
            *_recipe_notes(findings),
        ),
    )


def _finding(moments: Sequence[Moment], settings: RangeSettings, tensors: int) -> RangeFinding:
    held, *others = targets(moments[0][1].tensor, moments[0][1].kind, settings)
    history = [record.histogram.absmax for _, record in moments]
    fits = [
        fit(record, held, settings, history[:at], seeks_scale=False)
        for at, (_, record) in enumerate(moments)
    ]
    worst = max(range(len(fits)), key=lambda at: (*_badness(fits[at]), at))
    step, record = moments[worst]
    held_to = fit(record, held, settings, history[:worst])
    other_formats = [fit(record, other, settings, history[:worst]) for other in others]
    points = tuple((at, each.rms, each.histogram.absmax) for at, each in moments)
    forecasts: tuple[Forecast, ...] = ()
    if not held_to.is_scaled:  # a scale of its own follows wherever the tensor goes
        series = QUANTITIES * tensors
        forecasts = outlook(points, held.format, horizon=settings.horizon, series=series)
    crossings = [each.words for each in forecasts if each.verdict is Verdict.FAIL]
    causes = [explain(record, held_to, settings), *crossings]
    verdict = Verdict.PASS
    if held_to.flag is Flag.ALL_ZERO:
        verdict = Verdict.INCONCLUSIVE
    elif held_to.flag.fails or (settings.strict and (held_to.flag is not Flag.OK or crossings)):
        verdict = Verdict.FAIL
    return RangeFinding(
        tensor=record.tensor,
        kind=record.kind,
        verdict=verdict,
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


def _worst_first(finding: RangeFinding) -> tuple[float, ...]:
    crossing, fits = finding.crossing, finding.held_to
    room = min(fits.headroom_high, fits.headroom_low)
    return (
        finding.verdict.severity,
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
    if any(finding.held_to.format in BLOCK_FORMATS for finding in findings):
        text = (
            "In a block format every few elements have a scale of their own: what is judged is the "
            "share that becomes zero beside a larger neighbour."
        )
        notes.append(Note(kind=NoteKind.CAUTION, text=text))
    return notes


def _sample_notes(recording: Recording) -> list[Note]:
    """What a sample cannot tell."""
    sampled = [record for _, record in recording if record.sample is not None]
    if not sampled:
        return []
    error = max(record.sample.relative_error for record in sampled if record.sample)
    text = (
        f"A sample was counted of the weights of {len({each.tensor for each in sampled})} tensors: "
        f"RMS is known to {error:.1%} (standard error, at worst), and outliers rarer than one in "
        f"{sampled[0].histogram.count} may be missing from absmax and overflow."
    )
    return [Note(kind=NoteKind.CAUTION, text=text)]


def _recipe_notes(findings: Sequence[RangeFinding]) -> list[Note]:
    """Whether the cast without scales does, in a sentence."""
    plain = [
        f
        for f in findings
        if f.held_to.recipe and not f.held_to.is_scaled and f.held_to.flag is not Flag.ALL_ZERO
    ]
    if not plain:
        return []
    name, failing = plain[0].held_to.recipe, [f for f in plain if f.held_to.flag.fails]
    costly = [f for f in plain if f not in failing and (f.lost_db or 0.0) > BIT_DB]
    text = (
        f"{name}: {len(plain) - len(failing)} of {len(plain)} tensors fit without a scale, "
        f"{len(costly)} of them at a loss of more than {BIT_DB:.0f} dB."
    )
    return [Note(kind=NoteKind.REMARK, text=text)]
