"""The verdict: what is lost by tuning hyperparameters one by one?"""

from collections.abc import Callable, Sequence
from math import inf, isfinite, isnan, nan

import numpy as np

from umup_diag.checks.coupling.finding import PairFinding, SearchFinding
from umup_diag.checks.coupling.measure import losses_by_seed, traces
from umup_diag.checks.coupling.searches import Choice, centre, pairs
from umup_diag.checks.coupling.settings import CouplingSettings
from umup_diag.checks.coupling.transfer_error import final_error, workshop_error
from umup_diag.checks.fix import Advice, Fix
from umup_diag.checks.interval import Mean
from umup_diag.checks.result import Finding, Result
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.recording import Recording


def judge(recording: Recording, settings: CouplingSettings) -> Result:
    """Every pair both ways, or the two searches; each seed is an experiment of its own.

    PASS when the whole 95 % interval of what is lost is a share of the loss that may be lost, FAIL
    when it is above, else INCONCLUSIVE.

    Args:
        recording: as `measure` leaves it.
        settings: it was made with, as `resolve` left them.
    """
    losses = losses_by_seed(recording, settings)
    best = float(np.mean([min(of_seed.values()) for of_seed in losses]))
    allowed = settings.tolerance * best
    found = _searches if settings.search else _pairs
    findings = found(losses, settings, allowed)
    return Result(
        command=recording.command,
        settings=settings.encode(),
        environment={**recording.environment, "seed": settings.seed},
        findings=tuple(sorted(findings, key=lambda each: each.verdict.severity)),
    )


def _pairs(
    losses: Sequence[dict[Choice, float]], settings: CouplingSettings, allowed: float
) -> list[Finding]:
    findings: list[Finding] = []
    for one, other in pairs(settings.hp):
        for fixed, tuned in ((one, other), (other, one)):
            grids = [_grid(of_seed, settings, fixed, tuned) for of_seed in losses]
            findings.append(_pair(fixed, tuned, grids, settings, allowed))
    return findings


def _grid(
    losses: dict[Choice, float], settings: CouplingSettings, fixed: str, tuned: str
) -> np.ndarray:
    """(fixed, tuned) losses of one seed, all else at its middle."""
    middle = centre(settings.hp)
    return np.array(
        [
            [losses[tuple({**middle, fixed: f, tuned: t}.items())] for t in settings.hp[tuned]]
            for f in settings.hp[fixed]
        ]
    )


def _pair(
    fixed: str,
    tuned: str,
    grids: Sequence[np.ndarray],
    settings: CouplingSettings,
    allowed: float,
) -> PairFinding:
    final, workshop = (_mean(error, grids) for error in (final_error, workshop_error))
    verdict = equivalence(_at_least_zero(final), (0.0, allowed))
    cause = fix = None
    if verdict is Verdict.FAIL:
        cause = f"the best {tuned} depends on {fixed}"
        fix = Fix(tensor=tuned, steps=(Advice(text=f"tune {tuned} and {fixed} together"),))
    elif isnan(final.mean):
        cause = (
            f"with a seed, fewer than two values of {fixed} train, so there is nothing to compare"
        )
    elif verdict is Verdict.INCONCLUSIVE:
        cause = "the interval reaches across what may be lost"
        fix = Fix(tensor=tuned, steps=(Advice(text="take more seeds"),))
    return PairFinding(
        tensor=tuned,
        kind="transfer_error",
        verdict=verdict,
        cause=cause,
        fix=fix,
        fixed=fixed,
        error=final.mean,
        interval=_at_least_zero(final),
        workshop_error=workshop.mean,
        workshop_interval=_at_least_zero(workshop),
        allowed=allowed,
        values=settings.hp[tuned],
        fixed_values=settings.hp[fixed],
        losses=tuple(tuple(map(float, row)) for row in np.mean(grids, axis=0)),
    )


def _mean(error: Callable[[np.ndarray], float], grids: Sequence[np.ndarray]) -> Mean:
    """Over seeds; a seed whose error is infinite, or none, makes it so, with no interval."""
    errors = [error(grid) for grid in grids]
    if all(map(isfinite, errors)):
        return Mean.of(errors)
    worst = nan if any(map(isnan, errors)) else inf
    return Mean(mean=worst, low=worst, high=worst, std=nan, seeds=len(errors))


def _at_least_zero(mean: Mean) -> tuple[float, float]:
    """The interval; an error is not negative."""
    return (0.0 if mean.low < 0 else mean.low), mean.high


def _searches(
    losses: Sequence[dict[Choice, float]], settings: CouplingSettings, allowed: float
) -> list[Finding]:
    both = [traces(settings, seed, of_seed) for seed, of_seed in enumerate(losses)]
    combined = [(one.combined or nan) - (one.first or nan) for one, _ in both]
    against = [one.best_so_far[-1] - other.best_so_far[-1] for one, other in both]
    curves = [np.mean([t[which].best_so_far for t in both], axis=0) for which in (0, 1)]
    independent, random = (tuple(map(float, curve)) for curve in curves)
    first = next(iter(settings.hp))
    return [
        SearchFinding(
            tensor="all together",
            kind="combination",
            difference=(mean := Mean.of(combined)).mean,
            interval=(mean.low, mean.high),
            allowed=allowed,
            verdict=(verdict := equivalence((mean.low, mean.high), (-inf, allowed))),
            cause=_unless_passed(
                verdict, f"each at its own best is no better than the best {first} alone"
            ),
            fix=None,
        ),
        SearchFinding(
            tensor="one by one",
            kind="search",
            difference=(mean := Mean.of(against)).mean,
            interval=(mean.low, mean.high),
            allowed=allowed,
            verdict=(verdict := equivalence((mean.low, mean.high), (-inf, allowed))),
            cause=_unless_passed(verdict, "random search gets as far in as many runs, or farther"),
            independent=independent,
            random=random,
        ),
    ]


def _unless_passed(verdict: Verdict, cause: str) -> str | None:
    match verdict:
        case Verdict.PASS:
            return None
        case Verdict.FAIL:
            return cause
        case Verdict.INCONCLUSIVE:
            return "the interval reaches across what may be lost; take more seeds"
