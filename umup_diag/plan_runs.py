"""Running plans: each to its end, whatever became of the others."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from umup_diag.checks import run as checks
from umup_diag.errors import InputError
from umup_diag.plans import files as plan_file
from umup_diag.plans.gate import Gate, Outcome
from umup_diag.plans.plan import Plan, Schema, parse, parse_defaults


def read(path: Path, schemas: Mapping[str, Schema]) -> Plan:
    """Read a plan, with the defaults of the pyproject.toml above the working directory.

    Raises:
        InputError: if either is not valid.
    """
    project = plan_file.pyproject(Path.cwd())
    defaults = parse_defaults(project, schemas) if project else None
    return parse(plan_file.read(path), schemas, defaults)


def folder(plan: Plan, base: Path) -> Path:
    """Where a plan's results go: its key `out`, or its name under `base`."""
    chosen = plan.settings["out"]
    return base / plan.name if chosen is None else Path(chosen)


def run_all(
    paths: Iterable[Path],
    schemas: Mapping[str, Schema],
    base: Path,
    *,
    progress: Callable[[Path, int], None] | None = None,
) -> Gate:
    """Run every plan; what goes wrong with one is its outcome and stops no other.

    Args:
        paths: of the plans.
        schemas: check → its keys.
        base: the results of each plan go into a folder of its own in here.
        progress: called with a path and 0 before it is run, 1 after.
    """
    outcomes: list[Outcome] = []
    taken: dict[Path, Path] = {}
    for path in paths:
        if progress is not None:
            progress(path, 0)
        outcomes.append(_outcome(path, schemas, base, taken))
        if progress is not None:
            progress(path, 1)
    return Gate(outcomes=outcomes)


def _outcome(
    path: Path, schemas: Mapping[str, Schema], base: Path, taken: dict[Path, Path]
) -> Outcome:
    begin = time.perf_counter()
    plan = result = error = out = None
    try:
        plan = read(path, schemas)
        out = folder(plan, base)
        if other := taken.get(out.resolve()):
            raise InputError(
                f"{path}:1: its results would go into {out}, where those of {other} are; "
                'give one of them out = "…".'
            )
        taken[out.resolve()] = path
        result = checks.run(plan, out)
    except InputError as problem:
        error = str(problem)
    return Outcome(
        path=path,
        plan=plan,
        result=result,
        error=error,
        out=out,
        seconds=time.perf_counter() - begin,
    )
