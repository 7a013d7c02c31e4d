"""The coord check: each tensor's slope over width against the slope that its scheme predicts."""

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import mean

from umup_diag.checks.coordcheck import COORDCHECK
from umup_diag.checks.coordcheck.causes import explain
from umup_diag.checks.coordcheck.finding import NonFiniteFinding, SlopeFinding
from umup_diag.checks.coordcheck.series import MULTIPLIER_POWER, Key, RecordedSeries
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.coordcheck.slopes import Series, fit
from umup_diag.checks.fix import Advice, Fix
from umup_diag.checks.interval import Mean
from umup_diag.checks.result import Finding, Note, NoteKind, Result
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.recording import Recording
from umup_diag.scaling import optimizers, schemes
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import Prediction, WidthTheory
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import UpdateRule

#: How far a slope may lie from the prediction. Every rule that is got wrong in practice is wrong by
#: half a power of width or a whole one, so a band must stay well below ½; and it must hold what a
#: correct model shows at widths from 128 up with five seeds (docs/bands.md).
_BANDS: Mapping[Kind, float] = {
    Kind.INPUT: 0.15,  # normalised, or one op away from it
    Kind.WEIGHT: 0.15,  # a weight is known to four digits; its multiplier, from activations, is not
    Kind.OUTPUT: 0.15,
    Kind.GRAD_OUTPUT: 0.30,  # q and k gradients pass the softmax: few heads and tokens carry them
    Kind.WEIGHT_GRAD: 0.30,  # the same, summed over the tokens
    Kind.UPDATE: 0.15,  # Adam's is as exact as a weight
    Kind.OUTPUT_CHANGE: 0.20,  # a sum of terms that come to dominate only with width
    Kind.ATTENTION_LOGITS: 0.25,  # few heads, few tokens
}
#: Under SGD an update is a weight gradient, and no better known than one.
BANDS: Mapping[UpdateRule, Mapping[Kind, float]] = {
    UpdateRule.ADAM: _BANDS,
    UpdateRule.SGD: {**_BANDS, Kind.UPDATE: 0.30, Kind.OUTPUT_CHANGE: 0.30},
}


def judge(recording: Recording, settings: CoordcheckSettings) -> Result:
    """Judge a sweep: a run that diverged, or else every slope, worst first.

    Args:
        recording: of `umup_diag.checks.coordcheck.measure.sweep`.
        settings: as `umup_diag.checks.coordcheck.measure.complete` leaves them.

    Raises:
        InputError: if the models differ in more than width, or do not change with it.
    """
    findings: Sequence[Finding] = _non_finite(recording)
    if findings:
        text = "Slopes are not judged: a loss is not finite."
        notes = [Note(kind=NoteKind.NOT_JUDGED, text=text)]
    else:
        findings, notes = _judge_slopes(RecordedSeries.of(recording), settings)
    return Result(
        command=COORDCHECK.name,
        settings=settings.encode(),
        environment={**recording.environment, "seed": settings.seed},
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _judge_slopes(
    series: RecordedSeries, settings: CoordcheckSettings
) -> tuple[Sequence[Finding], list[Note]]:
    assert settings.target is not None
    roles = series.roles()
    rule = UpdateRule.ADAM
    if settings.optimizer is not None:
        rule = optimizers.get(settings.optimizer).update_rule
    theory = WidthTheory(
        scheme=schemes.get(settings.target),
        update_rule=rule,
        head_dim_growth=series.head_dim_growth(),
    )
    findings = []
    unjudged = {"has no dimension that grows": set[str](), "is zero at init": set[str]()}
    for key in series.rms:
        role = Role.HIDDEN if key.kind is Kind.ATTENTION_LOGITS else roles[key.tensor]
        if role is None:
            unjudged["has no dimension that grows"].add(key.tensor)
        elif key.step not in (0, settings.steps):
            continue
        elif _has_no_logarithm(series, key, role):
            unjudged["is zero at init"].add(key.tensor)
        elif prediction := theory.predict(key.kind, role):
            findings.append(_finding(series, key, role, prediction, theory))
    return explain(findings), _notes(settings, unjudged)


def _has_no_logarithm(series: RecordedSeries, key: Key, role: Role) -> bool:
    """Whether a series vanishes, or is to be multiplied by a multiplier that cannot be implied."""
    if series.is_zero(key):
        return True
    is_matrix = role is not Role.VECTOR and key.kind in MULTIPLIER_POWER
    return is_matrix and series.log_multiplier(key.tensor) is None


def _finding(
    series: RecordedSeries, key: Key, role: Role, prediction: Prediction, theory: WidthTheory
) -> SlopeFinding:
    multiplier = None
    if role is not Role.VECTOR and key.kind in MULTIPLIER_POWER:
        prediction += MULTIPLIER_POWER[key.kind] * theory.scheme.rows[role].multiplier
        multiplier = series.log_multiplier(key.tensor)
    log_rms = series.log_rms(key, multiplier)
    slope, band = fit(log_rms), BANDS[theory.update_rule][key.kind]
    accepted = (prediction.slowest - band, prediction.slope + band)
    verdict = equivalence((slope.low, slope.high), accepted)
    return SlopeFinding(
        tensor=key.tensor,
        kind=key.kind,
        step=key.step,
        role=role,
        order=series.order[key.tensor],
        slope=slope.mean,
        interval=(slope.low, slope.high),
        expected=prediction.slope,
        band=band,
        accepted=accepted,
        verdict=verdict,
        cause=_how_to_settle(slope, accepted) if verdict is Verdict.INCONCLUSIVE else None,
        points=_geometric_means(log_rms),
    )


def _geometric_means(series: Series) -> tuple[tuple[int, float], ...]:
    widths = sorted(next(iter(series.values())))
    return tuple((w, 2 ** mean(points[w] for points in series.values())) for w in widths)


def _how_to_settle(slope: Mean, accepted: tuple[float, float]) -> str:
    """What it would take to tell whether the slope is inside or outside."""
    if slope.seeds < 2:
        return "one seed gives no interval; use --seeds 5"
    margin = min(abs(slope.mean - edge) for edge in accepted)
    seeds = slope.seeds_for(margin)
    interval = f"the interval is ±{slope.half_width:.2f}, and {margin:.2f} would do"
    if seeds is None:
        return f"{interval}: too close to the edge for seeds alone; use more or larger widths"
    return f"{interval}: about {seeds} seeds would settle it"


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
                first = min(broken, key=lambda r: (r.kind == Kind.UPDATE, r.order))
                tensor, kind = first.tensor, first.kind
                where = f"first seen in the {kind} of {tensor}, after {frame.step} updates"
                break
        width, seed = int(last.point["width"]), int(last.point["seed"])
        advice = "lower --lr" if step else "look at the init: no update was done yet"
        findings.append(
            NonFiniteFinding(
                tensor=tensor,
                kind=kind,
                verdict=Verdict.FAIL,
                width=width,
                seed=seed,
                step=step,
                loss=loss,
                cause=f"the loss is {loss} after {step} updates at width {width}, seed {seed}; "
                f"{where}",
                fix=Fix(tensor=tensor, steps=(Advice(text=advice),)),
            )
        )
    return findings


def _notes(settings: CoordcheckSettings, unjudged: Mapping[str, set[str]]) -> list[Note]:
    notes = [
        Note(
            kind=NoteKind.NOT_JUDGED,
            text=f"Not judged: {', '.join(sorted(tensors))}, which {reason}.",
        )
        for reason, tensors in unjudged.items()
        if tensors
    ]
    tokens = settings.batch_size * settings.seq_len
    narrowest = min(settings.widths)
    if 2 * tokens > narrowest:
        text = (
            f"{tokens} tokens a batch are not well below the smallest width, {narrowest}: changes "
            "of outputs then mix two powers of width. Use a smaller batch or larger widths."
        )
        notes.append(Note(kind=NoteKind.CAUTION, text=text))
    return notes
