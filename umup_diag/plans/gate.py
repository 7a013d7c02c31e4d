"""What the gate makes of several plans."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from umup_diag.checks.result import Result, Verdict
from umup_diag.plans.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one plan.

    Attributes:
        path: of the plan's file.
        plan: None if it could not be read.
        result: None if the check could not be run.
        error: why; None if it could.
        out: the folder of its results.
        seconds: that it took.
    """

    path: Path
    plan: Plan | None
    result: Result | None
    error: str | None
    out: Path | None
    seconds: float

    @property
    def name(self) -> str:
        """Of the plan."""
        return self.path.stem

    @property
    def status(self) -> str:
        """A verdict, or ERROR."""
        return "ERROR" if self.result is None or self.error else str(self.result.verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """All outcomes, in the order of the plans."""

    outcomes: Sequence[Outcome]

    @property
    def exit_code(self) -> int:
        """2 if a plan could not run or judged nothing, 1 if one fails, 3 if one is open, else 0.

        A gate that could not look outranks one that saw a fault: what it did not see may be worse.
        """
        statuses = {outcome.status for outcome in self.outcomes}
        if not statuses or "ERROR" in statuses:
            return 2
        if Verdict.FAIL in statuses:
            return Verdict.FAIL.exit_code
        if Verdict.INCONCLUSIVE in statuses:
            return Verdict.INCONCLUSIVE.exit_code
        return 0

    @property
    def status(self) -> str:
        """Of the whole."""
        return {0: "PASS", 1: "FAIL", 2: "ERROR", 3: "INCONCLUSIVE"}[self.exit_code]
