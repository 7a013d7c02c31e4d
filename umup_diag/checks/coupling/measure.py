"""Train at every point of the grids of pairs, or where two searches want to look."""

from dataclasses import replace
from itertools import product
from math import isinf
from typing import TYPE_CHECKING

from umup_diag.checks.coupling import COUPLING
from umup_diag.checks.coupling.searches import (
    Choice,
    Trace,
    centre,
    independent,
    independent_runs,
    pairs,
    random,
)
from umup_diag.checks.coupling.settings import CouplingSettings
from umup_diag.errors import InputError
from umup_diag.measure import sweep
from umup_diag.measure.data.run_seed import run_seed
from umup_diag.measure.loss_curve import final_loss
from umup_diag.measure.sweep import Sweep
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.recording.frame import Point

if TYPE_CHECKING:
    from umup_diag.measure.pool import Submits

LR = "lr"
OTHERS = (0.25, 0.5, 1.0, 2.0, 4.0)  #: values of a hyperparameter that is neutral at 1


def resolve(settings: CouplingSettings) -> CouplingSettings:
    """The settings with the optimizer and every grid filled in.

    Raises:
        InputError: if the model cannot be loaded, or a grid is of one point.
    """
    sweep.require_axes("--hp", settings.hp)
    if "steps" in settings.hp:
        raise InputError("--hp steps: losses after different numbers of updates do not compare.")
    settings, usual = sweep.resolve(settings, None)
    if usual is None and LR in settings.hp:
        raise InputError(
            f"--hp lr needs --optimizer: {settings.model} brings its own, which sets its rate."
        )
    values = {
        name: grid or (tuple(usual * other for other in OTHERS) if name == LR and usual else OTHERS)
        for name, grid in settings.hp.items()
    }
    for name, grid in values.items():
        if len(grid) < 2:
            raise InputError(f"--hp {name}={grid[0]:g} is a grid of one point; give a range.")
    return replace(settings, hp=values)


def measure(
    settings: CouplingSettings, workplace: Workplace, *, executor: "Submits | None" = None
) -> Recording:
    """Record a frame a run, with its losses.

    Args:
        settings: as `resolve` leaves them.
        workplace: folder of the recording.
        executor: any ``concurrent.futures.Executor`` to run on.

    Raises:
        InputError: for what cannot be built, trained, read or written; if a hyperparameter changes
            nothing.
    """
    lr = None if LR in settings.hp else sweep.resolve(settings, None)[1]
    base = settings.one_run(width=settings.width, lr=lr)
    with Sweep(settings, base, workplace, command=COUPLING.name, executor=executor) as runs:
        if settings.search:
            _search(settings, runs)
        else:
            runs.curves([_point(c, s) for s in range(settings.seeds) for c in choices(settings)])
    _require_effects(runs.recording, settings)
    return runs.recording


def choices(settings: CouplingSettings) -> list[Choice]:
    """The points of the grids of all pairs, what is in no pair at its middle; each once."""
    middle = centre(settings.hp)
    found: dict[Choice, None] = {}
    for one, other in pairs(settings.hp):
        for first, second in product(settings.hp[one], settings.hp[other]):
            found[tuple({**middle, one: first, other: second}.items())] = None
    return list(found)


def losses_by_seed(recording: Recording, settings: CouplingSettings) -> list[dict[Choice, float]]:
    """Seed → choice → final loss, infinite for a run that was given up."""
    found: list[dict[Choice, float]] = [{} for _ in range(settings.seeds)]
    for frame in recording.frames:
        choice = tuple((name, frame.point[name]) for name in settings.hp)
        found[int(frame.point["seed"])][choice] = final_loss(frame.losses, settings.steps)
    return found


def traces(
    settings: CouplingSettings, seed: int, losses: dict[Choice, float]
) -> tuple[Trace, Trace]:
    """The independent and the random search of one seed, as far as the losses carry them."""
    return (
        independent(settings.hp, losses.get),
        random(
            settings.hp,
            losses.get,
            runs=independent_runs(settings.hp),
            seed=run_seed(settings.seed, seed),
        ),
    )


def _search(settings: CouplingSettings, runs: Sweep) -> None:
    """Both searches of every seed, in rounds of what they want next.

    What they want rests on whole rounds alone, so that a resumed search asks in the same order.
    """
    known: list[dict[Choice, float]] = [{} for _ in range(settings.seeds)]
    while True:
        points = [
            _point(choice, seed)
            for seed, losses in enumerate(known)
            for trace in traces(settings, seed, losses)
            for choice in trace.missing
        ]
        if not points:
            return
        for key, curve in runs.curves(points).items():
            *choice, (_, seed) = key
            known[int(seed)][tuple(choice)] = final_loss(curve, settings.steps)


def _point(choice: Choice, seed: int) -> Point:
    return {**dict(choice), "seed": seed}


def _require_effects(recording: Recording, settings: CouplingSettings) -> None:
    """Something trains, and no hyperparameter leaves the losses the same, to the last bit."""
    if all(isinf(final_loss(frame.losses, settings.steps)) for frame in recording.frames):
        raise InputError("nothing trains: every run diverged or learnt nothing.")
    first = [frame for frame in recording.frames if frame.point["seed"] == 0]
    for name in settings.hp:
        groups: dict[tuple[float, ...], set[tuple[float, ...]]] = {}
        sizes: dict[tuple[float, ...], int] = {}
        for frame in first:
            rest = tuple(value for axis, value in frame.point.items() if axis != name)
            groups.setdefault(rest, set()).add(frame.losses)
            sizes[rest] = sizes.get(rest, 0) + 1
        several = [rest for rest, number in sizes.items() if number > 1]
        if several and all(len(groups[rest]) == 1 for rest in several):
            raise InputError(
                f"--hp {name} changes nothing: the losses are the same, to the last bit, at every "
                "value."
            )
