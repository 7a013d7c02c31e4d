"""The coord check: each tensor's slope over width against the slope that its scheme predicts."""

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import mean
from typing import Any

from umup_diag.checks.coordcheck.causes import explain
from umup_diag.checks.coordcheck.finding import NonFiniteFinding, SlopeFinding
from umup_diag.checks.coordcheck.series import MULTIPLIER_POWER, Key, Sweep
from umup_diag.checks.coordcheck.slopes import Series, Slope, fit
from umup_diag.checks.result import Finding, Result, Verdict, equivalence
from umup_diag.measure.recording import Recording
from umup_diag.scaling import optimizers, schemes
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import Prediction, Theory
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import Family

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
BANDS: Mapping[Family, Mapping[Kind, float]] = {
    Family.ADAM: _BANDS,
    Family.SGD: {**_BANDS, Kind.UPDATE: 0.30, Kind.OUTPUT_CHANGE: 0.30},
}


def judge(recording: Recording) -> Result:
    """Judge a sweep.

    Raises:
        InputError: if the models differ in more than width, or do not change with it.
    """
    settings = recording.settings
    findings: Sequence[Finding] = _non_finite(recording)
    if findings:
        notes = ["Slopes are not judged: a loss is not finite."]
    else:
        findings, notes = _judge_slopes(Sweep.of(recording.rows), settings)
    return Result(
        command="coordcheck",
        settings=settings,
        environment={**recording.environment, "seed": settings["seed"]},
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _judge_slopes(sweep: Sweep, settings: Mapping[str, Any]) -> tuple[Sequence[Finding], list[str]]:
    roles = sweep.roles()
    optimizer = settings["optimizer"]
    theory = Theory(
        scheme=schemes.get(settings["target"]),
        family=optimizers.get(optimizer).family if optimizer else Family.ADAM,
        head_dim_growth=sweep.head_dim_growth(),
    )
    findings = []
    unjudged = {"has no dimension that grows": set[str](), "is zero at init": set[str]()}
    for key in sweep.rms:
        tensor, kind, step = key
        role = Role.HIDDEN if kind is Kind.ATTENTION_LOGITS else roles[tensor]
        if role is None:
            unjudged["has no dimension that grows"].add(tensor)
        elif step not in (0, settings["steps"]):
            continue
        elif _unknown(sweep, key, role):
            unjudged["is zero at init"].add(tensor)
        elif prediction := theory.predict(kind, role):
            findings.append(_finding(sweep, key, role, prediction, theory))
    return explain(findings), _notes(settings, unjudged)


def _unknown(sweep: Sweep, key: Key, role: Role) -> bool:
    """Whether a series vanishes, or is to be multiplied by a multiplier that cannot be implied."""
    tensor, kind, _ = key
    if sweep.is_zero(key):
        return True
    matrix = role is not Role.VECTOR and kind in MULTIPLIER_POWER
    return matrix and sweep.log_multiplier(tensor) is None


def _finding(
    sweep: Sweep, key: Key, role: Role, prediction: Prediction, theory: Theory
) -> SlopeFinding:
    tensor, kind, step = key
    power = MULTIPLIER_POWER.get(kind, 0)
    if role is not Role.VECTOR:
        prediction += power * theory.scheme.rows[role].multiplier
    multiplier = sweep.log_multiplier(tensor) if power and role is not Role.VECTOR else None
    series = sweep.log_rms(key, multiplier)
    slope, band = fit(series), BANDS[theory.family][kind]
    accepted = (prediction.slowest - band, prediction.slope + band)
    verdict = equivalence((slope.low, slope.high), accepted)
    return SlopeFinding(
        tensor=tensor,
        kind=kind,
        step=step,
        role=role,
        order=sweep.order[tensor],
        slope=slope.mean,
        interval=(slope.low, slope.high),
        expected=prediction.slope,
        band=band,
        accepted=accepted,
        verdict=verdict,
        cause=_settling(slope, accepted) if verdict is Verdict.INCONCLUSIVE else None,
        points=_means(series),
    )


def _means(series: Series) -> tuple[tuple[int, float], ...]:
    widths = sorted(next(iter(series.values())))
    return tuple((w, 2 ** mean(points[w] for points in series.values())) for w in widths)


def _settling(slope: Slope, accepted: tuple[float, float]) -> str:
    """What it would take to tell whether the slope is inside or outside."""
    if slope.seeds < 2:
        return "one seed gives no interval; use --seeds 5"
    margin = min(abs(slope.mean - edge) for edge in accepted)
    seeds = slope.seeds_for(margin)
    interval = f"the interval is ±{slope.half_width:.2f}, and {margin:.2f} would do"
    if seeds is None:
        return f"{interval}: too close to the edge for seeds alone; use more or larger widths"
    return f"{interval}: about {seeds} seeds would settle it"


def _non_finite(recording: Recording) -> list[Finding]:
    """Runs that ended in a loss that is not finite, each with the first tensor that went so."""
    found: list[Finding] = []
    for run in recording.runs.values():
        if isfinite(run.losses[-1]):
            continue
        step = len(run.losses) - 1
        first = min(
            (row for row in run.rows if row.nonfinite),
            key=lambda row: (row.step, row.kind is Kind.UPDATE, row.order),
            default=None,
        )
        where = (
            f"first seen in the {first.kind} of {first.tensor}, after {first.step} updates"
            if first
            else "all recorded tensors are finite"
        )
        found.append(
            NonFiniteFinding(
                tensor=first.tensor if first else "loss",
                kind=first.kind if first else "loss",
                verdict=Verdict.FAIL,
                width=run.width,
                seed=run.seed,
                step=step,
                loss=run.losses[-1],
                cause=f"the loss is {run.losses[-1]} after {step} updates at width {run.width}, "
                f"seed {run.seed}; {where}",
                fix="lower --lr" if step else "look at the init: no update was done yet",
            )
        )
    return found


def _notes(settings: Mapping[str, Any], unjudged: Mapping[str, set[str]]) -> list[str]:
    notes = [
        f"Not judged: {', '.join(sorted(tensors))}, which {reason}."
        for reason, tensors in unjudged.items()
        if tensors
    ]
    tokens = settings["batch_size"] * settings["seq_len"]
    narrowest = min(settings["widths"])
    if 2 * tokens > narrowest:
        notes.append(
            f"{tokens} tokens a batch are not well below the smallest width, {narrowest}: changes "
            "of outputs then mix two powers of width. Use a smaller batch or larger widths."
        )
    return notes
