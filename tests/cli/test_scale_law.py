"""The command end to end, as a user runs it."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from umup_diag.checks.scale_law.ranges import parse_over, parse_values
from umup_diag.cli import main
from umup_diag.errors import InputError

ROOT = Path(__file__).parents[2]
OPS = """
import torch

def relu2_glu(x, gate, *, alpha):
    return x * torch.relu(alpha * gate) ** 2

def breaks(x, *, alpha):
    return torch.log(x) * alpha

def ignores(x, *, alpha):
    return torch.tanh(x)

def rounds(x, *, alpha):
    return (alpha * x > 1).float()

def raises(x, *, alpha):
    raise RuntimeError("no kernel for this")

def returns_two(x, *, alpha):
    return x, x
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "userops.py").write_text(OPS)
    return tmp_path


def command(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umup_diag.cli", "scale-law", *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@dataclass(frozen=True)
class Done:
    exit_code: int
    stdout: str
    stderr: str


def in_process(*arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["umup-diag", "scale-law", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
    assert isinstance(exit_.value.code, int)
    return Done(exit_.value.code, out.getvalue(), err.getvalue())


def test_a_users_op(here: Path) -> None:
    run = command(here, "userops:relu2_glu", "--over", "alpha=1/8..8", "--inputs", "2", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    result = json.loads(run.stdout)
    output = next(f for f in result["findings"] if f["kind"] == "output")
    constants = {c["name"]: c for c in output["constants"]}
    # x · relu(αg)²: RMS α² √(E g⁴ / 2) = α² √1.5.
    low, high = constants["upper"]["interval"]
    assert low < 1.5**0.5 < high
    assert constants["upper power of alpha"]["value"] == pytest.approx(2, abs=0.01)
    assert {f["kind"] for f in result["findings"]} == {
        "output",
        "gradient of x",
        "gradient of gate",
    }
    written = here / "reports" / "scale-law"
    assert {path.name for path in written.iterdir()} == {
        "result.json",
        "recording.jsonl",
        "report.html",
        "scale_law.png",
    }
    assert json.loads((written / "result.json").read_text()) == result


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["userops:breaks", "--over", "alpha=1..4"], "output is NaN or infinite at alpha=1"),
        (["userops:relu2_glu", "--over", "alpha=1..4"], "--inputs says how many tensors"),
    ],
)
def test_an_op_that_cannot_be_measured_is_one_clear_error(
    here: Path, arguments: list[str], words: str
) -> None:
    run = command(here, *arguments)
    assert run.returncode == 2
    assert words in run.stderr
    assert run.stderr.startswith("Error: ")
    assert run.stderr.count("\n") <= 2
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["userops:raises", "--over", "alpha=1..4"], "RuntimeError at alpha=1: no kernel for this"),
        (["userops:returns_two", "--over", "alpha=1..4"], "must return one tensor"),
        (["userops:ignores", "--over", "beta=1..4"], "missing a required argument: 'alpha'"),
        (["userops:missing", "--over", "alpha=1..4"], "no function 'missing'"),
        (["nowhere:op"], "cannot import 'nowhere'"),
        (["atention"], "no op 'atention'"),
        (["attention", "--over", "beta=1..4"], "attention has no parameter 'beta'"),
        (["gated-silu", "--device", "nonsense"], "--device nonsense: Expected one of"),
        (["gated-silu", "--over", "alpha=1..3"], "doubling from 1 does not meet 3"),
    ],
)
def test_bad_input_is_one_clear_error(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delitem(sys.modules, "userops", raising=False)
    run = in_process(*arguments)
    assert run.exit_code == 2
    assert words in run.stderr
    assert run.stderr.startswith("Error: ")
    assert run.stderr.count("\n") <= 2
    assert run.stdout == ""


def test_an_ignored_parameter_is_said(here: Path) -> None:
    run = command(here, "userops:ignores", "--over", "alpha=1/8..8")
    assert (run.returncode, run.stderr) == (0, "")
    assert "The op ignores alpha" in run.stdout
    assert "def ignores_scale(alpha): return 0.6" in run.stdout


def test_an_op_without_gradient_is_measured_forward_only(here: Path) -> None:
    run = command(here, "userops:rounds", "--over", "alpha=1,2,3,4,5,6,7,8,9,10", "--json")
    assert run.returncode in (0, 1)
    result = json.loads(run.stdout)
    assert [finding["kind"] for finding in result["findings"]] == ["output"]
    assert any("No gradient reaches x: measured forward only" in note for note in result["notes"])


def test_too_few_points_exit_with_three(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    run = in_process("gated-silu", "--over", "alpha=1", "--relative-error", "0.01", "-q")
    assert (run.exit_code, run.stdout) == (3, "scale-law: INCONCLUSIVE (3 INCONCLUSIVE)\n")


def test_several_values_after_one_over_and_no_causal(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    over = ["--over", "s=16..64", "d_head=8..16", "alpha=1/4..4"]
    arguments = ["attention", "--no-causal", *over, "--relative-error", "0.02", "--json"]
    run, again = in_process(*arguments), in_process(*arguments)
    assert run.stderr == ""
    settings = json.loads(run.stdout)["settings"]
    assert settings["op"] == "full-attention"
    assert settings["over"] == {
        "seq_len": [16, 32, 64],
        "head_dim": [8, 16],
        "alpha": [0.25, 0.5, 1.0, 2.0, 4.0],
    }
    assert again.stdout == run.stdout


def test_help_loads_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, umup_diag.cli;"
        "sys.exit(bool({'torch', 'matplotlib', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("64..512", (64, 128, 256, 512)),
        ("1/4..2", (0.25, 0.5, 1.0, 2.0)),
        ("1,3,10", (1, 3, 10)),
        ("0.5", (0.5,)),
        ("1..100:3", (1.0, 10.0, 100.0)),
    ],
)
def test_ranges(text: str, values: tuple[float, ...]) -> None:
    parsed = parse_values(text)
    assert parsed == pytest.approx(values)
    assert [type(value) for value in parsed] == [type(value) for value in values]


@pytest.mark.parametrize(
    "token",
    [
        "alpha",
        "=1..2",
        "alpha=",
        "a b=1",
        "alpha=x",
        "alpha=2..1",
        "alpha=0..1",
        "alpha=1,1",
        "alpha=1..2:1",
        "alpha=1/0",
    ],
)
def test_bad_ranges(token: str) -> None:
    with pytest.raises(InputError):
        parse_over([token])


def test_a_name_twice() -> None:
    with pytest.raises(InputError, match="twice"):
        parse_over(["alpha=1", "alpha=2"])
