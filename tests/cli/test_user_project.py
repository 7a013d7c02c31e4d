"""A user's project, gated end to end from outside, as their CI would."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tests.cli.command import ROOT, Done, run

PLAN = Path("checks/unit_scale.toml")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(ROOT / "tests/user_project", copy)
    return copy


def run_pytest(
    project: Path, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *PYTEST, *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def gate(project: Path, *options: str, **environment: str) -> Done:
    return run(project, "gate", *options, **environment)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def add_exception(project: Path) -> None:
    with (project / PLAN).open("a") as plan:
        plan.write(
            '\n[[exceptions]]\ntensor = "head"\nkind = "output"\nrange = [0.0, 1.0]\n'
            'reason = "logits are small"\n'
        )


def test_a_healthy_project_passes_with_reports_of_its_own(project: Path) -> None:
    summary = project / "summary.md"
    done = gate(project, GITHUB_STEP_SUMMARY=str(summary))
    assert (done.exit_code, done.err) == (0, ""), done.out
    assert "gate: PASS" in done.out
    assert "## umup-diag gate: PASS" in summary.read_text()
    made = {path.name for path in (project / "reports/unit_scale").iterdir()}
    assert made == {
        "recording.jsonl",
        "report.html",
        "result.json",
        "unit_scale.png",
        "unit_scale.svg",
    }
    result = json.loads((project / "reports/unit_scale/result.json").read_text())
    assert (result["command"], result["settings"]["seeds"]) == ("unit-scale", 3)
    assert (project / "reports/__init__.py").read_text() == (
        ROOT / "tests/user_project/reports/__init__.py"
    ).read_text()
    assert JUnitXml.fromfile(str(project / "reports/junit.xml")).failures == 0


@pytest.mark.slow
def test_an_exception_is_needed_where_it_stands(project: Path) -> None:
    louder = "Scaled.apply(x @ self.weight.T, 4 / n_in, 1 / n_in)"
    edit(project / "gpt/model.py", "x @ self.weight.T / n_in", louder)
    assert gate(project).exit_code == 1


def test_a_fault_fails_and_is_annotated(project: Path) -> None:
    edit(project / "gpt/model.py", "/ 0.652", "* 3.0")
    done = gate(project, "--format", "github")
    assert done.exit_code == 1
    first = done.out.splitlines()[0]
    assert first.startswith("::error file=checks/unit_scale.toml,line=1,")
    assert "blocks.1.down" in first
    assert "multiply the" in first


def test_a_stale_exception_is_reported_and_does_not_fail(project: Path) -> None:
    add_exception(project)
    done = gate(project, "--format", "github")
    assert done.exit_code == 0
    assert "::warning file=checks/unit_scale.toml" in done.out
    assert "Stale exception head:output" in done.out


def test_an_exception_that_is_needed_passes(project: Path) -> None:
    louder = "Scaled.apply(x @ self.weight.T, 4 / n_in, 1 / n_in)"
    edit(project / "gpt/model.py", "x @ self.weight.T / n_in", louder)
    add_exception(project)
    done = gate(project, "--format", "json")
    assert (done.exit_code, json.loads(done.out)["verdict"]) == (0, "PASS")
    assert "Stale" not in done.out


def test_a_broken_plan_is_an_error_and_the_others_run(project: Path) -> None:
    (project / "checks/broken.toml").write_text('check = "unit-scale"\nwidht = 128\n')
    done = gate(project)
    assert done.exit_code == 2
    assert "checks/broken.toml:2: unit-scale has no key 'widht'; did you mean 'width'?" in (
        done.out
    )
    assert "checks/unit_scale.toml  unit-scale  PASS" in done.out
    assert JUnitXml.fromfile(str(project / "reports/junit.xml")).errors == 1


def test_a_model_that_raises_is_an_error_without_a_traceback(project: Path) -> None:
    edit(project / "gpt/model.py", "return GPT(width)", "raise OSError('no disk')")
    done = gate(project)
    assert done.exit_code == 2
    assert "raised OSError at gpt/model.py:88: no disk" in done.out
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize("left", ["nothing", "no folder", "a missing plan"])
def test_no_plan_is_exit_2(project: Path, left: str) -> None:
    (project / PLAN).unlink()
    if left == "no folder":
        shutil.rmtree(project / "checks")
    done = gate(project, *(["checks/gone.toml"] if left == "a missing plan" else []))
    assert done.exit_code == 2
    assert "there is no plan" in done.err
    assert "gate --init" in done.err


def test_init_writes_a_plan_that_passes(project: Path) -> None:
    edit(project / "gpt/model.py", "/ 0.652", "* 3.0")
    done = gate(project, "--init", "gpt.model", "checks/first.toml", "--width", "128")
    assert done.exit_code == 0, done.err
    plan = (project / "checks/first.toml").read_text()
    assert "[[exceptions]]" in plan
    assert "blocks.*.down" in plan
    passed = gate(project, "checks/first.toml")
    assert passed.exit_code == 0, passed.out
    again = gate(project, "--init", "gpt.model", "checks/first.toml")
    assert (again.exit_code, "is there already" in again.err) == (2, True)


INSTALLED = any(found.name == "umup_diag" for found in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "umup_diag.pytest_plugin")  # installed, it is found by itself
PYTEST = ("pytest", "-q", *PLUGIN, "-p", "no:cacheprovider")


def test_their_test_suite_runs_the_plans_as_items(project: Path) -> None:
    done = run_pytest(project, "--umup-plans", "checks", "tests", "-vv", PYTHONPATH=f"{ROOT}:.")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("weight", "input", "grad_output", "everything-else"):
        assert f"checks/unit_scale.toml::{name} PASSED" in done.stdout
    assert "tests/test_scale.py::test_scale PASSED" in done.stdout


def test_a_failing_plan_fails_its_group_and_reads_well(project: Path) -> None:
    edit(project / "gpt/model.py", "torch.randn(n_out, n_in)", "0.1 * torch.randn(n_out, n_in)")
    done = run_pytest(project, "--umup-plans", "checks", "tests", PYTHONPATH=f"{ROOT}:.")
    assert done.returncode == 1
    assert "the model fails unit-scale, in" in done.stdout
    assert "blocks.0.qkv weight at width 64: RMS 0.1" in done.stdout
    assert "multiply the initial standard deviation by 10" in done.stdout
    assert "the model is not at unit scale" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_broken_or_missing_plan_is_an_error_in_pytest(project: Path) -> None:
    (project / PLAN).write_text('check = "unit-scal"\n')
    done = run_pytest(project, "--umup-plans", "checks", PYTHONPATH=f"{ROOT}:.")
    assert done.returncode == 2
    assert "did you mean 'unit-scale'?" in done.stdout
    (project / PLAN).unlink()
    done = run_pytest(project, "--umup-plans", "checks", PYTHONPATH=f"{ROOT}:.")
    assert done.returncode == 4
    assert "there is no plan in checks/" in done.stderr


@pytest.mark.parametrize(
    "module", ["umup_diag.pytest_plugin", "umup_diag.testing", "umup_diag.cli"]
)
def test_importing_it_imports_no_torch(module: str) -> None:
    heavy = {"torch", "vl_convert", "numpy"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
