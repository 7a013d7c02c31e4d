"""``pytest --umup-plans checks/``: each plan a group of test items, one per kind of finding.

pytest loads this in every project that has umup-diag installed, so nothing here imports torch, or
anything that does, before a plan runs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from umup_diag.checks import CHECKS
from umup_diag.checks.result import Finding, NoteKind, Result
from umup_diag.errors import InputError
from umup_diag.plans import files, gate
from umup_diag.plans.plan import Plan
from umup_diag.report.untracked import untracked
from umup_diag.testing import demand

#: Findings of any other kind, and that there is any finding at all.
REST = "everything-else"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--umup-plans`` and ``--umup-out``."""
    group = parser.getgroup("umup-diag")
    group.addoption(
        "--umup-plans",
        action="append",
        default=[],
        metavar="PATH",
        help="Run the check plans of umup-diag at PATH, a file or a folder of *.toml, as tests.",
    )
    group.addoption(
        "--umup-out",
        default=None,
        metavar="DIR",
        help="Where their results go.  [default: reports, nothing that git tracks]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest collect the plans besides its own arguments."""
    paths = config.getoption("--umup-plans")
    if not paths:
        return
    try:
        found = files.find(map(Path, paths))
    except InputError as error:
        raise pytest.UsageError(f"--umup-plans: {error}") from None
    config.stash[_PLANS] = frozenset(path.resolve() for path in found)
    config.args += [str(path) for path in found]


_PLANS = pytest.StashKey[frozenset[Path]]()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "PlanFile | None":
    """Collect the files that ``--umup-plans`` named, and no other TOML."""
    if file_path.resolve() in parent.config.stash.get(_PLANS, frozenset()):
        return PlanFile.from_parent(parent, path=file_path)
    return None


class PlanFile(pytest.File):
    """A plan: read when collected, run when its first item is."""

    _result: Result | None = None
    _error: Exception | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """One item per kind that the check can find, and one for the rest."""
        try:
            plan = gate.read(self.path, CHECKS)
        except InputError as error:
            raise self.CollectError(str(error)) from None
        for kind in (*plan.check.kinds, REST):
            yield PlanItem.from_parent(self, name=kind, plan=plan)

    def result(self, plan: Plan) -> Result:
        """The plan's result, from one run; its error again for every item."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            base = self.config.getoption("--umup-out")
            if base is None:
                out = gate.folder(plan, Path("reports"), untracked)
            else:
                out = gate.folder(plan, Path(base))
            try:
                self._result = gate.run(plan, out)
            except InputError as error:
                self._error = error
                raise
        return self._result


class PlanItem(pytest.Item):
    """The findings of one kind."""

    def __init__(self, *, plan: Plan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def runtest(self) -> None:
        """Fail unless every finding of the kind passes; skip a kind that the model has not."""
        assert isinstance(self.parent, PlanFile)
        result = self.parent.result(self.plan)
        known = self.plan.check.kinds
        findings: list[Finding] = [
            each
            for each in result.findings
            if (each.kind not in known if self.name == REST else each.kind == self.name)
        ]
        for note in result.notes:
            if self.name == REST and note.kind is NoteKind.STALE_EXCEPTION:
                self.warn(pytest.PytestWarning(f"{self.plan.path}: {note}"))
        if findings:
            demand(findings, f"fails {self.plan.check.name}")
        elif self.name != REST:
            pytest.skip(f"nothing of kind {self.name} was found")

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """An assertion's or an input error's own words, without a traceback."""
        if isinstance(excinfo.value, AssertionError | InputError):
            return f"{self.plan.path} ({self.plan.check.name}): {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands, and what it is called."""
        return self.path, 0, f"{self.path.name}: {self.name}"
