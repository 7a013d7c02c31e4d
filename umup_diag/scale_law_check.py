"""The scale-law check, from an op's name to a Result with its report written."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from umup_diag import strict_json
from umup_diag.errors import InputError

if TYPE_CHECKING:
    from umup_diag.checks.result import Result
    from umup_diag.measure.monte_carlo.estimate import Progress

Values = tuple[float, ...]

# The paper's symbols for what a keyword argument must spell out.
ALIASES = {"s": "seq_len", "d_head": "head_dim"}
USER_RELATIVE_ERROR = 0.002
MAX_POINTS = 10_000


def scale_law(
    op: str,
    *,
    over: Mapping[str, Values] | None = None,
    inputs: int = 1,
    causal: bool = True,
    relative_error: float | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: "Progress | None" = None,
    out: Path,
) -> "Result":
    """Measure an op, fit its scale, judge the law, write the report.

    Args:
        op: ``attention``, another built-in, or ``pkg.mod:function``.
        over: values of each parameter; a built-in op has defaults for those left out.
        inputs: how many tensors a user's op takes.
        causal: for ``attention``.
        relative_error: wanted standard error of each RMS; None for the op's default.
        tolerance: the relative error that a law may have anywhere; None for the default.
        seed: the run's seed.
        device: where the draws are worked on.
        progress: called with (points done, points in all).
        out: folder for ``recording.jsonl`` and the report.

    Raises:
        InputError: if the op cannot be loaded, called or measured.
    """
    from umup_diag.checks.scale_law.judge import TOLERANCE, judge_scale_law
    from umup_diag.checks.scale_law.law_fit import by_quantity
    from umup_diag.measure import environment
    from umup_diag.measure.monte_carlo.builtin_ops import BUILTIN_OPS
    from umup_diag.measure.monte_carlo.estimate import Sampler, measure
    from umup_diag.measure.monte_carlo.ops import user_sampler
    from umup_diag.report import folder as report
    from umup_diag.report import json

    over = dict(over or {})
    notes: list[str] = []
    sampler: Sampler
    name = "full-attention" if op == "attention" and not causal else op
    if name in BUILTIN_OPS:
        builtin = BUILTIN_OPS[name]
        values = {ALIASES.get(key, key): value for key, value in over.items()}
        unknown = set(values) - set(builtin.grid)
        if unknown:
            known = ", ".join(builtin.grid) or "none"
            raise InputError(f"{op} has no parameter {sorted(unknown)[0]!r}; it has: {known}.")
        grid = _grid({**builtin.grid, **values})
        sampler, error = builtin.sampler, relative_error or builtin.relative_error
    elif ":" in op:
        grid = _grid(over)
        sampler, seen = user_sampler(op, inputs=inputs, grid=grid, seed=seed)
        error = relative_error or USER_RELATIVE_ERROR
        notes += [f"The op ignores {n}: its output does not change with it." for n in seen.ignored]
        notes += [
            f"No gradient reaches {n}: measured forward only."
            for n in sampler.inputs
            if n not in sampler.gradients
        ]
    else:
        raise InputError(
            f"no op {op!r}: give pkg.mod:function, or one of {', '.join(sorted(BUILTIN_OPS))}."
        )
    where = environment.device(device)
    report.clear(out, "scale-law")
    estimates = measure(
        sampler, grid, relative_error=error, seed=seed, device=where, progress=progress
    )
    limit = TOLERANCE if tolerance is None else tolerance
    result = judge_scale_law(
        op=name,
        measured=by_quantity(estimates),
        parameters=list(grid[0]),
        settings={
            "op": name,
            "over": {key: sorted({point[key] for point in grid}) for key in grid[0]},
            "relative_error": error,
            "tolerance": limit,
            "seed": seed,
            "device": device,
        },
        environment={**environment.environment(where), "seed": seed},
        tolerance=limit,
        notes=notes,
    )
    page = report.write(result, out)
    rows = "".join(strict_json.dumps(asdict(estimate)) + "\n" for estimate in estimates)
    json.write_whole(page.with_name("recording.jsonl"), rows)
    return result


def _grid(over: Mapping[str, Values]) -> list[dict[str, float]]:
    size = prod(len(values) for values in over.values())
    if size > MAX_POINTS:
        raise InputError(f"--over makes {size} grid points; {MAX_POINTS} are allowed.")
    return [dict(zip(over, values, strict=True)) for values in product(*over.values())]
