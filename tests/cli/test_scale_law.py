"""The command end to end, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, Done, run
from umup_diag.errors import InputError
from umup_diag.settings.ranges import parse_over, parse_values

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


def scale_law(here: Path, *arguments: str) -> Done:
    return run(here, "scale-law", *arguments)


def test_a_users_op(here: Path) -> None:
    done = scale_law(here, "userops:relu2_glu", "--over", "alpha=1/8..8", "--inputs", "2", "--json")
    assert (done.exit_code, done.err) == (0, "")
    result = json.loads(done.out)
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
        "scale_law.svg",
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
    done = scale_law(here, *arguments)
    assert done.exit_code == 2
    assert words in done.err
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") <= 2
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["userops:raises", "--over", "alpha=1..4"],
            "at alpha=1 raised RuntimeError at userops.py:17: no kernel for this",
        ),
        (["userops:returns_two", "--over", "alpha=1..4"], "must return one tensor"),
        (["userops:ignores", "--over", "beta=1..4"], "missing a required argument: 'alpha'"),
        (["userops:missing", "--over", "alpha=1..4"], "no function 'missing'"),
        (["nowhere:op"], "there is no module 'nowhere'"),
        (["atention"], "there is no op 'atention'; did you mean 'attention'?"),
        (["attention", "--over", "beta=1..4"], "attention has no parameter 'beta'"),
        (["gated-silu", "--device", "nonsense"], "--device nonsense: there is no such device"),
        (["gated-silu", "--over", "alpha=1..3"], "doubling from 1 does not meet 3"),
    ],
)
def test_bad_input_is_one_clear_error(here: Path, arguments: list[str], words: str) -> None:
    done = scale_law(here, *arguments)
    assert done.exit_code == 2
    assert words in done.err
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") <= 2
    assert done.out == ""


def test_an_ignored_parameter_is_said(here: Path) -> None:
    done = scale_law(here, "userops:ignores", "--over", "alpha=1/8..8")
    assert (done.exit_code, done.err) == (0, "")
    assert "The op ignores alpha" in done.out
    assert "def ignores_scale(alpha): return 0.6" in done.out


def test_an_op_without_gradient_is_measured_forward_only(here: Path) -> None:
    done = scale_law(here, "userops:rounds", "--over", "alpha=1,2,3,4,5,6,7,8,9,10", "--json")
    assert done.exit_code in (0, 1)
    result = json.loads(done.out)
    assert [finding["kind"] for finding in result["findings"]] == ["output"]
    assert any(
        "No gradient reaches x: measured forward only" in note["text"] for note in result["notes"]
    )


def test_too_few_points_exit_with_three(here: Path) -> None:
    done = scale_law(here, "gated-silu", "--over", "alpha=1", "--relative-error", "0.01", "-q")
    assert (done.exit_code, done.out) == (3, "scale-law: INCONCLUSIVE (3 INCONCLUSIVE)\n")


def test_several_values_after_one_over_and_no_causal(here: Path) -> None:
    over = ["--over", "s=16..64", "d_head=8..16", "alpha=1/4..4"]
    arguments = ["attention", "--no-causal", *over, "--relative-error", "0.02", "--json"]
    done, again = scale_law(here, *arguments), scale_law(here, *arguments)
    assert done.err == ""
    settings = json.loads(done.out)["settings"]
    assert settings["op"] == "full-attention"
    assert settings["over"] == {
        "seq_len": [16, 32, 64],
        "head_dim": [8, 16],
        "alpha": [0.25, 0.5, 1.0, 2.0, 4.0],
    }
    assert again.out == done.out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, umup_diag.cli;"
        "sys.exit(bool({'torch', 'vl_convert', 'scipy', 'numpy'} & set(sys.modules)))"
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
        "alpha=1e400",
        "alpha=1e-400,1",
        "alpha=1..1e400:5",
        "alpha=1..2:10001",
    ],
)
def test_bad_ranges(token: str) -> None:
    with pytest.raises(InputError):
        parse_over([token])


def test_a_name_twice() -> None:
    with pytest.raises(InputError, match="twice"):
        parse_over(["alpha=1", "alpha=2"])
