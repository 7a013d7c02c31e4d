"""An audit of small models, in a folder of its own."""

from pathlib import Path
from typing import Any

from umup_diag.checks.audit.judge import judge
from umup_diag.checks.audit.measure import measure, resolve
from umup_diag.checks.audit.settings import AuditSettings
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.workplace import Workplace


def audited(model: str, folder: Path, **options: Any) -> Result:
    """Judge a model by its import path."""
    small: dict[str, Any] = {"widths": (64, 128, 256), "seeds": 2, "batch_size": 2, "width": 4096}
    settings = resolve(AuditSettings(model=model, **(small | options)))
    return judge(measure(settings, Workplace(out=folder)), settings)


def failing(result: Result) -> dict[tuple[str, str], tuple[str | None, str]]:
    """(tensor, kind) → (cause, fix) of what fails by itself."""
    return {
        (each.tensor, str(each.kind)): (each.cause, str(each.fix or ""))
        for each in result.findings
        if each.verdict is Verdict.FAIL and each.follows is None
    }
