"""The verdict: does the optimum stay where the loss cannot tell?"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, log2, sqrt
from statistics import stdev

from umup_diag.checks.fix import Advice, Fix, Multiply
from umup_diag.checks.result import Finding, Note, NoteKind, Result
from umup_diag.checks.transfer.drift import EDGE, Drift, drift, half_width, unfelt
from umup_diag.checks.transfer.finding import Measured, SizeOptimum, TransferFinding
from umup_diag.checks.transfer.optimum import Optimum, Undetermined, optimum
from umup_diag.checks.transfer.settings import LR, TransferSettings
from umup_diag.checks.transfer.surface import Curve, Surface, mean_loss, surface
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.measure.loss_curve import final_error, final_loss
from umup_diag.recording import Frame, Recording

NAMES = {LR: "learning rate"}  #: of hyperparameters, where words are longer than the name


def judge(recording: Recording, settings: TransferSettings) -> Result:
    """Fit every size's optimum, and the drift through them.

    PASS when the whole 95 % interval of the drift is one that the loss at the largest size cannot
    feel (`drift.unfelt`) and that is no wrong rule (`drift.EDGE`), FAIL when all of it lies beyond,
    else INCONCLUSIVE.

    Args:
        recording: as `measure` leaves it.
        settings: it was made with.
    """
    axis, hp = settings.axis, settings.hp
    losses = surface(recording.frames, axis=axis, hp=hp, steps=settings.steps)
    fits = {size: optimum(curve) for size, curve in losses.items()}
    optima = {size: fit for size, fit in fits.items() if isinstance(fit, Optimum)}
    errors = _own_errors(recording.frames, settings)
    sizes = _sizes(losses, fits, optima, errors)
    if len(optima) < len(fits) or len(optima) < 2:
        finding = _undetermined(fits, sizes, settings)
    else:
        finding = _judged(optima, sizes, settings)
    return Result(
        command=recording.command,
        settings=settings.encode(),
        environment={**recording.environment, "seed": settings.seed},
        findings=(finding,),
        notes=tuple(_notes(recording.frames, settings)),
    )


def _judged(
    optima: Mapping[float, Optimum], sizes: Sequence[SizeOptimum], settings: TransferSettings
) -> Finding:
    found = drift(optima, target=settings.target)
    free = unfelt(optima, tolerance=settings.tolerance)
    edge = min(free, EDGE)
    first, last = optima[min(optima)], optima[max(optima)]
    cost = last.curvature * (last.log2 - first.log2) ** 2
    verdict = equivalence(found.interval, (-edge, edge))
    cause, fix = _words(verdict, found, edge, optima, settings)
    low, high = found.extrapolated_interval
    return TransferFinding(
        tensor=settings.hp,
        kind="drift",
        verdict=verdict,
        cause=cause,
        fix=fix,
        axis=settings.axis,
        drift=found.slope,
        interval=found.interval,
        band=(-edge, edge),
        unfelt=free,
        cost_nats=cost,
        cost_fraction=cost / last.loss,
        target=settings.target,
        extrapolated=2.0**found.extrapolated,
        extrapolated_interval=(_power(low), _power(high)),
        sizes=tuple(sizes),
    )


def _words(
    verdict: Verdict,
    found: Drift,
    edge: float,
    optima: Mapping[float, Optimum],
    settings: TransferSettings,
) -> tuple[str | None, Fix | None]:
    axis, hp = settings.axis, settings.hp
    if verdict is Verdict.PASS:
        return None, None
    first, last = min(optima), max(optima)
    moved = optima[last].log2 - optima[first].log2
    if verdict is Verdict.FAIL:
        cause = f"the best {hp} moves by {moved:+.2f} octaves from {axis} {first:g} to {last:g}"
        step = Multiply(what=NAMES.get(hp, hp), exponent=found.slope, axis=axis)
        return cause, Fix(tensor=hp, steps=(step,))
    low, high = found.interval
    half = (high - low) / 2
    nearest = max(abs(abs(found.slope) - edge), 1e-3)
    more = f"about {min(99, 1 + int(settings.seeds * (half / nearest) ** 2))} seeds"
    wanted = more if isfinite(half) else "two seeds or more, or three sizes"
    cause = f"the interval of the drift reaches across the edge of what passes: ±{edge:.2f}"
    advice = Advice(text=f"take {wanted}, or sizes that are further apart")
    return cause, Fix(tensor=hp, steps=(advice,))


def _undetermined(
    fits: Mapping[float, Optimum | Undetermined],
    sizes: Sequence[SizeOptimum],
    settings: TransferSettings,
) -> Finding:
    reasons = [
        f"{settings.axis} {size:g}: {reason}"
        for size, reason in fits.items()
        if isinstance(reason, Undetermined)
    ]
    return TransferFinding(
        tensor=settings.hp,
        kind="drift",
        verdict=Verdict.INCONCLUSIVE,
        cause="; ".join(reasons) or "one size alone was measured",
        axis=settings.axis,
        sizes=tuple(sizes),
    )


def _sizes(
    losses: Surface,
    fits: Mapping[float, Optimum | Undetermined],
    optima: Mapping[float, Optimum],
    errors: Mapping[tuple[float, float], float],
) -> list[SizeOptimum]:
    half = half_width(optima) if optima else inf
    found = []
    for size, fit in fits.items():
        if isinstance(fit, Undetermined):
            found.append(
                SizeOptimum(size=size, reason=fit, points=_points(size, losses[size], (), errors))
            )
            continue
        found.append(
            SizeOptimum(
                size=size,
                log2=fit.log2,
                interval=(fit.log2 - half, fit.log2 + half),
                curvature=fit.curvature,
                loss=fit.loss,
                points=_points(size, losses[size], fit.window, errors),
            )
        )
    return found


def _points(
    size: float,
    curve: Curve,
    window: Sequence[float],
    errors: Mapping[tuple[float, float], float],
) -> tuple[Measured, ...]:
    points = []
    for at, of_seeds in curve.items():
        finite = [loss for loss in of_seeds.values() if isfinite(loss)]
        error = (
            stdev(finite) / sqrt(len(finite)) if len(finite) > 1 else errors.get((size, at), inf)
        )
        points.append(
            Measured(value=2.0**at, loss=mean_loss(of_seeds), error=error, is_fitted=at in window)
        )
    return tuple(points)


def _own_errors(
    frames: Sequence[Frame], settings: TransferSettings
) -> dict[tuple[float, float], float]:
    """(size, log2 value) → the noise of the run of the first seed."""
    errors = {}
    for frame in frames:
        point = frame.point
        steps = int(point.get("steps", settings.steps))
        if point["seed"] == 0 and isfinite(final_loss(frame.losses, steps)):
            at = point[settings.axis], log2(point[settings.hp])
            errors[at] = final_error(frame.losses, steps)
    return errors


def _notes(frames: Sequence[Frame], settings: TransferSettings) -> list[Note]:
    """What was saved by giving up on runs."""
    planned = [int(frame.point.get("steps", settings.steps)) for frame in frames]
    done = [len(frame.losses) for frame in frames]
    short = sum(d < p for d, p in zip(done, planned, strict=True))
    if not short:
        return []
    saved = 1 - sum(done) / sum(planned)
    text = (
        f"{short} of {len(done)} runs were given up early, which saved {saved:.0%} of the updates."
    )
    return [Note(kind=NoteKind.REMARK, text=text)]


def _power(exponent: float) -> float:
    """2 to an exponent that may be infinite or absurd."""
    return inf if exponent > 1000 else 0.0 if exponent < -1000 else 2.0**exponent
