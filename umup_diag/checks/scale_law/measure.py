"""Draw an op's inputs by Monte-Carlo, and record the scales of its output and gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from umup_diag.checks.result import NoteKind
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.errors import InputError
from umup_diag.measure import environment
from umup_diag.measure.monte_carlo.builtin_ops import ALIASES, BUILTIN_OPS
from umup_diag.measure.monte_carlo.estimate import Sampler, estimate_grid
from umup_diag.measure.monte_carlo.ops import user_sampler
from umup_diag.measure.workplace import Workplace
from umup_diag.recording import Recording
from umup_diag.recording.frame import Point
from umup_diag.settings.ranges import grid_points

USER_RELATIVE_ERROR = 0.002  #: of an op that we know nothing of


def resolve(settings: ScaleLawSettings) -> ScaleLawSettings:
    """The op's full name, and its defaults for what the settings leave open.

    Raises:
        InputError: if there is no such op, or if a built-in op has no such parameter.
    """
    is_full = settings.op == "attention" and not settings.causal
    name = "full-attention" if is_full else settings.op
    if name not in BUILTIN_OPS:
        if ":" not in name:
            known = ", ".join(sorted(BUILTIN_OPS))
            raise InputError(f"no op {name!r}: give pkg.mod:function, or one of {known}.")
        return replace(settings, relative_error=settings.relative_error or USER_RELATIVE_ERROR)
    builtin = BUILTIN_OPS[name]
    over = {ALIASES.get(key, key): values for key, values in settings.over.items()}
    _require_affordable(over)
    if unknown := sorted(over.keys() - builtin.grid.keys()):
        known = ", ".join(builtin.grid) or "none"
        raise InputError(f"{settings.op} has no parameter {unknown[0]!r}; it has: {known}.")
    return replace(
        settings,
        op=name,
        over={**builtin.grid, **over},
        relative_error=settings.relative_error or builtin.relative_error,
    )


#: Sizes of a built-in op → the largest that is measured, and what a draw of it costs.
_LARGEST = {
    "seq_len": (
        1 << 16,
        "a draw of attention over 65536 positions takes seconds, and its cost "
        "grows with the square",
    ),
    "head_dim": (1 << 14, "a draw takes memory and time in proportion"),
    "size": (1 << 22, "a draw at 4194304 takes 1 GiB"),
    "vocab_size": (1 << 22, "a draw at 4194304 takes 1 GiB"),
}


def _require_affordable(over: Mapping[str, Sequence[float]]) -> None:
    """Refuse sizes that would take hours or fill the memory, before the first draw.

    Raises:
        InputError: naming the largest that is measured.
    """
    for name, (largest, cost) in _LARGEST.items():
        values = over.get(name, (1,))
        asked = max(values)
        if any(value != int(value) for value in values):
            raise InputError(f"--over {name}={min(values):g}: a size is a whole number.")
        if asked > largest:
            raise InputError(
                f"--over {name}={asked:g}: {largest} is the largest that is measured; {cost}."
            )


def measure(settings: ScaleLawSettings, workplace: Workplace) -> Recording:
    """Record a frame for each point of the grid, a record for each quantity.

    Args:
        settings: as `resolve` leaves them.
        workplace: where the recording goes.

    Raises:
        InputError: if the op cannot be loaded, called or measured.
    """
    assert settings.relative_error is not None, "resolve fills it in"
    grid = grid_points(settings.over)
    sampler, notes = _sampler(settings, grid)
    device = environment.device(settings.device)
    recording = Recording.create(
        workplace.out,
        command="scale-law",
        settings=settings.encode(),
        environment={**environment.environment(device), "seed": settings.seed},
        notes=notes,
    )
    frames = estimate_grid(
        sampler,
        grid,
        relative_error=settings.relative_error,
        seed=settings.seed,
        device=device,
    )
    for done, frame in enumerate(frames, start=1):
        recording.append(frame)
        workplace.progress(f"measuring {settings.op}", done, len(grid))
    return recording


def _sampler(
    settings: ScaleLawSettings, grid: Sequence[Point]
) -> tuple[Sampler, list[tuple[str, str]]]:
    """What to draw from, and what a first look at it says."""
    if settings.op in BUILTIN_OPS:
        return BUILTIN_OPS[settings.op].sampler, []
    sampler, probe = user_sampler(
        settings.op, inputs=settings.inputs, grid=grid, seed=settings.seed
    )
    ignored = [
        (NoteKind.CAUTION, f"The op ignores {name}: its output does not change with it.")
        for name in probe.ignored
    ]
    unreached = [
        (NoteKind.NOT_JUDGED, f"No gradient reaches {name}: measured forward only.")
        for name in sampler.inputs
        if name not in sampler.gradients
    ]
    return sampler, [*ignored, *unreached]
