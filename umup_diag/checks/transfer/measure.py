"""Train at every size, at the values that the search for its optimum asks for."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isfinite, isinf, log2
from typing import TYPE_CHECKING

from umup_diag.checks.transfer import TRANSFER
from umup_diag.checks.transfer.search import Tried, wanted
from umup_diag.checks.transfer.settings import LR, TransferSettings
from umup_diag.errors import InputError
from umup_diag.measure import sweep
from umup_diag.measure.loss_curve import at_eighth, final_loss
from umup_diag.measure.sweep import Key, Sweep
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.recording.frame import Point

if TYPE_CHECKING:
    from umup_diag.measure.pool import Submits

Curves = Mapping[int, Mapping[int, tuple[float, ...]]]  #: index → seed → losses of a run
Known = Mapping[float, Curves]  #: size → curves

LR_OCTAVES = 3.0  #: searched on either side of the usual rate
OTHERS = (1 / 8, 8.0)  #: searched for a hyperparameter that is not the rate
WIDTH = 64  #: where no axis says


def resolve(settings: TransferSettings) -> TransferSettings:
    """The settings with the optimizer and both ranges filled in.

    Raises:
        InputError: if the model cannot be loaded, or if the settings contradict each other.
    """
    if settings.hp in settings.over:
        raise InputError(f"--hp {settings.hp} is an axis of --over; it cannot be tuned as well.")
    sweep.require_axes("--hp", [settings.hp])
    sweep.require_axes("--over", settings.over)
    if settings.hp in sweep.COUNTED:
        raise InputError(
            f"--hp {settings.hp}: it is a whole number, and the search goes to any value; let it "
            f"grow instead, as in --over {settings.hp}=…"
        )
    given, is_rate = settings.lr, settings.hp == LR
    if is_rate and settings.values is not None:
        raise InputError("--values is for other hyperparameters; give the rates as --lr A..B.")
    if not is_rate and given is not None and given[0] != given[1]:
        raise InputError(f"--lr takes one value while --hp {settings.hp} is tuned.")
    _ = settings.axis
    settings, usual = sweep.resolve(settings, None if given is None else given[0])
    if usual is None:
        if is_rate:
            raise InputError(
                f"--hp lr needs --optimizer: {settings.model} brings its own, which sets its rate."
            )
    elif given is None:
        near = 2.0**LR_OCTAVES if is_rate else 1.0
        given = usual / near, usual * near
    values = settings.values if is_rate else settings.values or OTHERS
    low, high = (given if is_rate else values) or OTHERS
    if log2(high / low) < 1:
        raise InputError(
            f"{settings.hp} from {low:g} to {high:g} is a grid of one point: give a range of an "
            "octave or more, as in 1e-4..1e-1."
        )
    return replace(settings, lr=given, values=values)


def measure(
    settings: TransferSettings, workplace: Workplace, *, executor: "Submits | None" = None
) -> Recording:
    """Record a frame a run, with its losses.

    What is run next depends on what came before; it is decided in rounds, from whole rounds alone,
    so that neither a kill nor the number of processes changes which runs there are.

    Args:
        settings: as `resolve` leaves them.
        workplace: folder of the recording.
        executor: any ``concurrent.futures.Executor`` to run on.

    Raises:
        InputError: for what cannot be built, trained, read or written; if the hyperparameter
            changes nothing, or nothing trains at any value.
    """
    span = settings.lr if settings.hp == LR else settings.values
    assert span is not None, "resolve fills it in"
    low, octaves = span[0], log2(span[1] / span[0])
    lr = settings.lr[0] if settings.lr else None
    base = settings.one_run(width=WIDTH, lr=lr)
    known: dict[float, dict[int, dict[int, tuple[float, ...]]]] = {s: {} for s in settings.sizes}
    with Sweep(settings, base, workplace, command=TRANSFER.name, executor=executor) as runs:
        while True:
            points: dict[Key, tuple[float, int, int]] = {}
            for size, curves in known.items():
                tried = _losses(curves, _steps(settings, size))
                for index, seed in wanted(tried, octaves=octaves, seeds=settings.seeds):
                    point = _point(settings, size, low * 2.0**index, seed)
                    points[tuple(point.items())] = size, index, seed
            if not points:
                break  # every optimum is bracketed, or out of reach
            bounds = {
                key: _bound(known[size], _steps(settings, size))
                for key, (size, _, _) in points.items()
            }
            for key, losses in runs.curves([dict(key) for key in points], bounds=bounds).items():
                size, index, seed = points[key]
                known[size].setdefault(index, {})[seed] = losses
            _require_effect(known, settings)
        _require_training(known, settings)
    return runs.recording


def _point(settings: TransferSettings, size: float, value: float, seed: int) -> Point:
    return {settings.axis: size, **settings.held, settings.hp: value, "seed": seed}


def _steps(settings: TransferSettings, size: float) -> int:
    return int(size if settings.axis == "steps" else settings.held.get("steps", settings.steps))


def _losses(curves: Curves, steps: int) -> Tried:
    return {
        index: {seed: final_loss(losses, steps) for seed, losses in of_seeds.items()}
        for index, of_seeds in curves.items()
    }


def _bound(curves: Curves, steps: int) -> float:
    """What the best run so far of a size had come to after an eighth of its updates."""
    finished = [losses for each in curves.values() for losses in each.values()]
    best = min(finished, key=lambda losses: final_loss(losses, steps), default=())
    return at_eighth(best, steps, 1) if final_loss(best, steps) < inf else inf


def _require_effect(
    known: Known,
    settings: TransferSettings,
) -> None:
    for size, curves in known.items():
        first = {losses[0] for losses in curves.values()}
        if len(curves) > 1 and len(first) == 1 and isfinite(sum(next(iter(first)))):
            raise InputError(
                f"--hp {settings.hp} changes nothing: at {settings.axis} {size:g} the losses are "
                "the same, to the last bit, at every value."
            )


def _require_training(
    known: Known,
    settings: TransferSettings,
) -> None:
    span = settings.lr if settings.hp == LR else settings.values
    assert span is not None
    for size, curves in known.items():
        losses = _losses(curves, _steps(settings, size))
        if all(isinf(loss) for of_seeds in losses.values() for loss in of_seeds.values()):
            low, high = (span[0] * 2.0**index for index in (min(curves), max(curves)))
            raise InputError(
                f"nothing trains at {settings.axis} {size:g}: every run with {settings.hp} from "
                f"{low:.3g} to {high:.3g} diverged or learnt nothing."
            )
