"""The verdict: what is lost by tuning hyperparameters one by one?"""

from collections.abc import Iterator, Sequence
from math import inf, isfinite, isinf, isnan, nan
from statistics import fmean

import numpy as np

from umup_diag.checks.coupling.finding import PairFinding, SearchFinding
from umup_diag.checks.coupling.measure import losses_by_seed, traces
from umup_diag.checks.coupling.searches import Choice, centre, pairs
from umup_diag.checks.coupling.settings import CouplingSettings
from umup_diag.checks.coupling.transfer_error import final_error, workshop_error
from umup_diag.checks.fix import Advice, Fix
from umup_diag.checks.interval import Mean
from umup_diag.checks.result import Finding, Note, NoteKind, Result
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
    is_several = not settings.search and len(settings.hp) > 2
    return Result(
        command=recording.command,
        settings=settings.encode(),
        environment={**recording.environment, "seed": settings.seed},
        findings=tuple(sorted(findings, key=lambda each: each.verdict.severity)),
        notes=(_over_all(losses, settings),) if is_several else (),
    )


def _pairs(
    losses: Sequence[dict[Choice, float]], settings: CouplingSettings, allowed: float
) -> list[Finding]:
    findings: list[Finding] = []
    for fixed, tuned in _directed(settings):
        grids = [_grid(of_seed, settings, fixed, tuned) for of_seed in losses]
        findings.append(_pair(fixed, tuned, grids, settings, allowed))
    return findings


def _directed(settings: CouplingSettings) -> Iterator[tuple[str, str]]:
    """Every pair both ways, as (fixed, tuned)."""
    for one, other in pairs(settings.hp):
        yield one, other
        yield other, one


def _over_all(losses: Sequence[dict[Choice, float]], settings: CouplingSettings) -> Note:
    """The mean over all pairs, by which the u-µP paper compares two models."""
    grids = [[_grid(each, settings, *pair) for pair in _directed(settings)] for each in losses]
    final, workshop = (
        _mean([fmean(map(error, of_seed)) for of_seed in grids])
        for error in (final_error, workshop_error)
    )
    text = " and ".join(
        f"{each.mean:.3f} nats{by} ({_at_least_zero(each)[0]:.3f} … {each.high:.3f})"
        for each, by in ((final, ""), (workshop, " by F.1"))
    )
    return Note(kind=NoteKind.REMARK, text=f"over all {len(grids[0])} grids: {text} are lost")


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
    final, workshop = (
        _mean([error(grid) for grid in grids]) for error in (final_error, workshop_error)
    )
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


def _mean(values: Sequence[float]) -> Mean:
    """Over seeds; one that is infinite, or none, makes it so, with no interval."""
    if all(map(isfinite, values)):
        return Mean.of(values)
    worst = nan if any(map(isnan, values)) else inf
    return Mean(mean=worst, low=worst, high=worst, std=nan, seeds=len(values))


def _at_least_zero(mean: Mean) -> tuple[float, float]:
    """The interval; an error is not negative."""
    return (0.0 if mean.low < 0 else mean.low), mean.high


def _searches(
    losses: Sequence[dict[Choice, float]], settings: CouplingSettings, allowed: float
) -> list[Finding]:
    both = [traces(settings, seed, of_seed) for seed, of_seed in enumerate(losses)]
    combined = [_difference(one.combined, one.first) for one, _ in both]
    against = [_difference(one.best_so_far[-1], other.best_so_far[-1]) for one, other in both]
    curves = [np.mean([t[which].best_so_far for t in both], axis=0) for which in (0, 1)]
    independent, random = (tuple(map(float, curve)) for curve in curves)
    first = next(iter(settings.hp))
    return [
        SearchFinding(
            tensor="all together",
            kind="combination",
            difference=(mean := _mean(combined)).mean,
            interval=(mean.low, mean.high),
            allowed=allowed,
            verdict=(verdict := equivalence((mean.low, mean.high), (-inf, allowed))),
            cause=_unless_passed(
                verdict,
                mean.mean,
                f"each at its own best is no better than the best {first} alone",
            ),
            fix=None,
        ),
        SearchFinding(
            tensor="one by one",
            kind="search",
            difference=(mean := _mean(against)).mean,
            interval=(mean.low, mean.high),
            allowed=allowed,
            verdict=(verdict := equivalence((mean.low, mean.high), (-inf, allowed))),
            cause=_unless_passed(
                verdict, mean.mean, "random search gets as far in as many runs, or farther"
            ),
            independent=independent,
            random=random,
        ),
    ]


def _difference(loss: float | None, other: float | None) -> float:
    """In nats; NaN where a search has nothing that trains to compare with."""
    if loss is None or other is None or isinf(other):
        return nan
    return loss - other


def _unless_passed(verdict: Verdict, mean: float, cause: str) -> str | None:
    match verdict:
        case Verdict.PASS:
            return None
        case Verdict.FAIL:
            return cause
        case Verdict.INCONCLUSIVE if isnan(mean):
            return "with a seed, nothing trains where a search looks"
        case Verdict.INCONCLUSIVE:
            return "the interval reaches across what may be lost; take more seeds"
