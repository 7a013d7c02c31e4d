"""The gate: runs plans, each to its end whatever became of the others, and sums them up."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from umup_diag.checks.check import run as run_check
from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.errors import ExitCode, InputError, explain
from umup_diag.measure.workplace import Progress, Workplace, silent
from umup_diag.plans import files
from umup_diag.plans.plan import Checks, Plan, parse, parse_defaults
from umup_diag.report.untracked import ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one plan.

    Attributes:
        path: of the plan's file.
        plan: None if it could not be read.
        result: None if the check could not be run.
        error: why; None if it could.
        out: folder of its results.
        seconds: that it took.
        fault: of umup-diag itself, where that is why it could not be run.
    """

    path: Path
    plan: Plan | None
    result: Result | None
    error: str | None
    out: Path | None
    seconds: float
    fault: Exception | None = None

    @property
    def name(self) -> str:
        """Of the plan."""
        return self.path.stem

    @property
    def check(self) -> str:
        """The check's name; empty if the plan could not be read."""
        return self.plan.check.name if self.plan else ""

    @property
    def status(self) -> str:
        """A verdict, or ERROR."""
        return "ERROR" if self.result is None or self.error else str(self.result.verdict)

    @property
    def offenders(self) -> Sequence[Finding]:
        """The findings that do not pass, worst first."""
        findings = self.result.findings if self.result else ()
        return [finding for finding in findings if finding.verdict is not Verdict.PASS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """All outcomes, in the order of the plans."""

    outcomes: Sequence[Outcome]

    @property
    def exit_code(self) -> int:
        """2 if a plan could not run or judged nothing, 1 if one fails, 3 if one is open, else 0.

        A gate that could not look outranks one that saw a fault: what it did not see may be worse.
        One in which umup-diag itself failed outranks both: 70.
        """
        if any(outcome.fault for outcome in self.outcomes):
            return ExitCode.INTERNAL
        statuses = {outcome.status for outcome in self.outcomes}
        if not statuses or "ERROR" in statuses:
            return ExitCode.INPUT
        if Verdict.FAIL in statuses:
            return Verdict.FAIL.exit_code
        if Verdict.INCONCLUSIVE in statuses:
            return Verdict.INCONCLUSIVE.exit_code
        return 0

    @property
    def status(self) -> str:
        """Of the whole."""
        return {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}.get(self.exit_code, "ERROR")


def read(path: Path, checks: Checks) -> Plan:
    """Read a plan, with the defaults of the pyproject.toml above the working directory.

    Raises:
        InputError: if either is not valid.
    """
    project = files.pyproject(Path.cwd())
    defaults = parse_defaults(project, checks) if project else None
    return parse(files.read(path), checks, defaults)


Place = Callable[[Path], Path]  #: of a default folder: where its results go


def folder(plan: Plan, base: Path, place: Place = lambda folder: folder) -> Path:
    """Folder of a plan's results: its key `out`, or one of its name under `base`."""
    if plan.out is not None:
        return plan.out
    out = place(base / plan.name)
    ignore(out)
    return out


def run(plan: Plan, out: Path, progress: Progress = silent) -> Result:
    """Run the check of a plan.

    Raises:
        InputError: as the check, or if it judged nothing: that is no pass.
    """
    result = run_check(plan.check, plan.settings, Workplace(out=out, progress=progress))
    if not result.findings:
        reason = f" {result.notes[0]}" if result.notes else ""
        raise InputError(f"{plan.path}:1: {plan.check.name} found nothing to judge.{reason}")
    return result


def run_all(
    paths: Iterable[Path],
    checks: Checks,
    base: Path,
    *,
    place: Place = lambda folder: folder,
    progress: Callable[[Path, int], None] = lambda _, __: None,
) -> Gate:
    """Run every plan; what goes wrong with one is its outcome and stops no other.

    Args:
        paths: of the plans.
        checks: name → check.
        base: each plan's results go into a folder of its own in here.
        place: where the results go instead of such a folder, `untracked` for instance.
        progress: called with a path and 0 before it is run, 1 after.
    """
    outcomes: list[Outcome] = []
    taken: dict[Path, Path] = {}
    for path in paths:
        progress(path, 0)
        outcomes.append(_outcome(path, checks, base, place, taken))
        progress(path, 1)
    return Gate(outcomes=outcomes)


def _outcome(
    path: Path, checks: Checks, base: Path, place: Place, taken: dict[Path, Path]
) -> Outcome:
    begin = time.perf_counter()
    plan = result = error = fault = out = None
    try:
        plan = read(path, checks)
        out = folder(plan, base, place)
        if other := taken.get(out.resolve()):
            raise InputError(
                f"{path}:1: its results would go into {out}, where those of {other} are; "
                'give one of them out = "…".'
            )
        taken[out.resolve()] = path
        result = run(plan, out)
    except InputError as problem:
        error = str(problem)
    except Exception as problem:  # ours or the system's; the other plans are run all the same
        code, said = explain(problem)
        error = said.removeprefix("Error: ")
        fault = problem if code is ExitCode.INTERNAL else None
    return Outcome(
        path=path,
        plan=plan,
        result=result,
        error=error,
        fault=fault,
        out=out,
        seconds=time.perf_counter() - begin,
    )
