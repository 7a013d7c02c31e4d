"""What a user may get wrong: a line or two that say what, where and what to do; exit code 2."""

import json
from pathlib import Path

import pytest

from tests.cli.command import Done, run
from umup_diag.checks import check as checks

MODEL = """
from torch import nn
def build(width):
    return nn.Sequential(nn.Embedding(256, width), nn.Linear(width, 256))
"""
MODULES = {
    "mlp2": MODEL,
    "badbuild": "from torch import nn\ndef helper(w):\n    return nn.Linear(w, 'no')\n"
    "def build(width):\n    return helper(width)\n",
    "badloss": MODEL + "def loss(model, batch):\n    return {}['nothing']\n",
    "leaves": MODEL + "def loss(model, batch):\n    raise SystemExit(3)\n",
    "badbatches": MODEL + "def batches(*, batch_size, seq_len, seed):\n"
    "    raise FileNotFoundError('data.bin')\n",
    "badoptimizer": MODEL + "def optimizer(model):\n    return 1 / 0\n",
    "badgroups": MODEL
    + "def parameter_groups(model, *, optimizer, lr):\n    return model.groups\n",
    "badbackward": "import torch\n" + MODEL + "class Op(torch.autograd.Function):\n"
    "    @staticmethod\n    def forward(ctx, x):\n        return x * 1\n"
    "    @staticmethod\n    def backward(ctx, g):\n        raise ValueError('no gradient')\n"
    "def loss(model, batch):\n    return Op.apply(model(batch)).mean()\n",
    "exits": "import sys\nsys.exit('usage: exits.py DATA')\n",
    "small": MODEL.replace("256", "100"),
    "ops": "def raises(x, *, alpha):\n    raise ValueError('nope')\n",
}
SMALL = ("--widths", "64,128", "--seeds", "2", "--steps", "1")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def _fails(_: object) -> None:
    raise KeyError("head")


def is_clear(done: Done) -> None:
    assert done.exit_code == 2, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert 1 <= len(done.err.splitlines()) <= 2


USERS = [
    ("badbuild", "build(64) raised TypeError at badbuild.py:3: "),
    ("badloss", "loss(model, batch) raised KeyError at badloss.py:6: 'nothing'"),
    ("leaves", "loss(model, batch) called sys.exit(3) at leaves.py:6."),
    ("badbatches", "batches(...) raised FileNotFoundError at badbatches.py:6: data.bin"),
    ("badoptimizer", "optimizer(model) raised ZeroDivisionError at badoptimizer.py:6: "),
    ("badgroups", "parameter_groups(model, ...) raised AttributeError at badgroups.py:6: "),
    ("badbackward", "the backward pass raised ValueError at badbackward.py:12: no gradient"),
    ("exits", "importing it called sys.exit('usage: exits.py DATA') at exits.py:2."),
    ("small", "Its batches are bytes, 0 to 255: give it a vocabulary of 256"),
]


USAGE = [
    (("coordcheck", "--optimiser", "sgd"), "Did you mean '--optimizer'?"),
    (("coordcheck", "--widths", "abc"), "'abc' is neither like 128..4096 nor like 128,256,512."),
    (("coordcheck", "--seeds"), "Option '--seeds' requires an argument."),
    (("fp8-range",), "Missing argument 'SOURCES...'."),
    (("coordchek",), "Did you mean 'coordcheck'?"),
]


@pytest.mark.parametrize(("args", "message"), USAGE, ids=[" ".join(args) for args, _ in USAGE])
def test_a_mistyped_command_line_is_two_lines(
    tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    done = run(tmp_path, *args)
    is_clear(done)
    assert done.err.splitlines()[0].endswith(message), done.err


@pytest.mark.parametrize(("model", "message"), USERS, ids=[model for model, _ in USERS])
def test_the_users_own_code_is_named_by_file_and_line(here: Path, model: str, message: str) -> None:
    done = run(here, "coordcheck", "--model", model, *SMALL)
    is_clear(done)
    assert message in done.err


@pytest.mark.parametrize("command", ["unit-scale", "record"])
def test_so_it_is_in_other_commands(here: Path, command: str) -> None:
    done = run(here, command, "--model", "badbackward", "--width", "64")
    is_clear(done)
    assert "the backward pass raised ValueError at badbackward.py:12" in done.err


@pytest.mark.parametrize("where", ["before", "after"])
def test_debug_shows_the_traceback(here: Path, where: str) -> None:
    words = ["coordcheck", "--model", "badloss", *SMALL]
    words.insert(0 if where == "before" else len(words), "--debug")
    done = run(here, *words)
    assert done.exit_code == 2
    assert "Traceback" in done.err
    assert "in loss\n" in done.err
    assert done.err.splitlines()[-1].startswith("Error: --model badloss")


def test_a_fault_of_ours_has_its_own_exit_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.Lazy, "get", _fails)
    done = run(here, "unit-scale", "--model", "mlp2")
    assert done.exit_code == 70
    assert done.err.startswith("Internal error: KeyError at ")
    assert "please report it" in done.err
    assert len(done.err.splitlines()) == 2
    assert "Traceback" in run(here, "unit-scale", "--model", "mlp2", "--debug").err


def test_a_fault_of_ours_in_one_plan_of_a_gate(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "checks").mkdir()
    for name in ("a", "b"):
        (here / f"checks/{name}.toml").write_text('check = "unit-scale"\nmodel = "mlp2"\n')
    monkeypatch.setattr(checks.Lazy, "get", _fails)
    done = run(here, "gate", "--format", "json")
    assert done.exit_code == 70
    document = json.loads(done.out)
    assert [plan["verdict"] for plan in document["plans"]] == ["ERROR", "ERROR"]
    assert document["exit_code"] == 70
    assert "Traceback" not in done.err
    assert run(here, "gate", "--debug").err.count("KeyError: 'head'") == 2


WRONG = [
    (["coordcheck", "--model", "./mlp2"], "this is a file; name it whole: ./mlp2.py"),
    (["unit-scale", "--model", "meta-llama/Llama-2-7b"], "no import path"),
    (["record", "--model", "https://example.org/x"], "an address, and nothing is downloaded"),
    (["fp8-range", "https://example.org/w.safetensors"], "an address, and nothing is downloaded"),
    (["fp8-range", "w.safetensors", "w.safetensors"], "are the same; name each once"),
    (["fp8-range", "run", "w.safetensors"], "run holds the recording of a run, which is judged by"),
    (["fp8-range", "w.gguf"], "is a GGUF file"),
    (["fp8-range", "w.safetensors", "--formats", "fp8"], "which one? Usual are e4m3fn for inputs"),
    (["fp8-range", "w.safetensors", "--include", "["], "has a [ without its ]"),
    (["coordcheck", "--device", "cudda"], "did you mean 'cuda'?"),
    (["coordcheck", "--resume", "run"], "Go on with umup-diag record --resume run, or judge it"),
    (["scale-law", "gelu", "--no-causal"], "--no-causal is for attention; gelu has no mask"),
    (["scale-law", "attention", "--over", "s=1e6"], "65536 is the largest that is measured"),
    (["scale-law", "attention", "--over", "s=0.5,64"], "a size is a whole number"),
    (["scale-law", "ops:raises", "--over", "alpha=1,2"], "raised ValueError at ops.py:2: nope"),
    (["scale-law", "ops.py:raises"], "name the module as it is imported, without .py"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(w) for w, _ in WRONG])
def test_bad_input(here: Path, words: list[str], message: str) -> None:
    (here / "run").mkdir()
    (here / "run/recording.jsonl").write_text(
        '{"schema": 2, "command": "record", "settings": {}, "environment": {}, "notes": []}\n'
    )
    (here / "w.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (here / "w.gguf").write_bytes(b"GGUF\3\0\0\0")
    done = run(here, *words)
    is_clear(done)
    assert message in done.err
    assert "delete" not in done.err
    assert not (here / "reports").exists()


def test_a_folder_may_have_any_name(here: Path) -> None:
    (here / "{x}").mkdir()
    (here / "{x}/recording.jsonl").write_text(
        '{"schema": 2, "command": "record", "settings": {}, "environment": {}, "notes": []}\n'
    )
    done = run(here, "coordcheck", "--resume", "{x}")
    is_clear(done)
    assert "Go on with umup-diag record --resume {x}, or judge it" in done.err


def test_an_option_of_another_command(here: Path) -> None:
    done = run(here, "unit-scale", "--text", "x.txt")
    assert done.exit_code == 2
    assert "unit-scale has no --text: it is an option of" in done.err


def test_a_rate_far_beyond_small_changes(here: Path) -> None:
    done = run(here, "coordcheck", "--model", "mlp2", *SMALL, "--lr", "1e9")
    is_clear(done)
    assert "the learning rate, 1e+09, is far too large: the loss rises from" in done.err
    assert "seeds" not in done.err


def test_a_recorded_run_that_diverges_says_so(here: Path) -> None:
    words = ("record", "--model", "mlp2", "--width", "32", "--steps", "4", "--every", "2")
    done = run(here, *words, "--lr", "1e3")
    assert done.exit_code == 1
    assert "It diverged: the loss rose from" in done.err
    assert run(here, *words).exit_code == 0


def test_a_path_that_is_no_text_is_printed_and_written(here: Path) -> None:
    name = "w\udcff.safetensors"
    done = run(here, "fp8-range", here / name)
    is_clear(done)
    assert "No such file" in done.err
