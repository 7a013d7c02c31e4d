"""What a new check costs: its settings, three functions, and one registration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.text import Text

from umup_diag.checks import CHECKS
from umup_diag.checks.check import Check
from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.cli.check_command import check_command
from umup_diag.measure.workplace import Workplace
from umup_diag.plans import gate
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.report.style import verdict_line
from umup_diag.report.view import View
from umup_diag.settings.option import option
from umup_diag.settings.shared import RunSettings


@dataclass(frozen=True, kw_only=True)
class EvenSettings(RunSettings):
    """The whole declaration: command, plan, defaults and help follow from it."""

    number: int = option("A number that should be even.", default=2, at_least=1)


def measure(settings: EvenSettings, workplace: Workplace) -> Recording:
    recording = Recording.create(
        workplace.out, command="even", settings=settings.encode(), environment={}
    )
    moments = Moments(count=1, rms=float(settings.number))
    recording.append(Frame(records=(TensorRecord(tensor="it", kind="number", statistics=moments),)))
    workplace.progress("number", 1, 1)
    return recording


def judge(recording: Recording, settings: EvenSettings) -> Result:
    findings = [
        Finding(
            tensor=record.tensor,
            kind=record.kind,
            verdict=Verdict.FAIL if record.rms % 2 else Verdict.PASS,
            cause="odd" if record.rms % 2 else None,
        )
        for _, record in recording
    ]
    return Result(
        command="even",
        settings=settings.encode(),
        environment=recording.environment,
        findings=tuple(findings),
    )


def view() -> View:
    columns: Mapping[str, Any] = {"tensor": lambda finding: finding.tensor}
    return View(
        table=lambda result, every: Text.assemble(f"all: {every}\n", verdict_line(result)),
        columns=columns,
    )


EVEN = Check(
    name="even",
    help="Is a number even?",
    settings=EvenSettings,
    measure=measure,
    judge=judge,
    view=view,
    kinds=("number",),
    all_help="List it.",
)


def test_it_has_a_command_with_its_options(tmp_path: Path) -> None:
    command: click.Command = check_command(EVEN)
    said = CliRunner().invoke(command, ["--help"])
    assert "A number that should be even.  [default: 2; x>=1]" in said.output
    out = str(tmp_path / "even")
    assert CliRunner().invoke(command, ["--number", "4", "--out", out]).exit_code == 0
    failed = CliRunner().invoke(command, ["--number", "3", "--out", out, "--all"])
    assert (failed.exit_code, "all: True" in failed.output) == (1, True)
    assert "even: FAIL (1 FAIL)" in failed.output
    made = {path.name for path in (tmp_path / "even").iterdir()}
    assert made == {"recording.jsonl", "result.json", "report.html"}
    assert Recording.load(tmp_path / "even").frame()["rms"].tolist() == [3.0]


@pytest.mark.parametrize(("number", "status"), [(2, "PASS"), (5, "FAIL"), (0, "ERROR")])
def test_it_runs_from_a_plan(tmp_path: Path, number: int, status: str) -> None:
    path = tmp_path / "it.toml"
    path.write_text(f'check = "even"\nnumber = {number}\n')
    ended = gate.run_all([path], {**CHECKS, EVEN.name: EVEN}, tmp_path / "reports")
    assert ended.status == status
    if status == "ERROR":
        assert f"{path}:2: number = 0: 0 is not in the range x>=1." in str(ended.outcomes[0].error)
