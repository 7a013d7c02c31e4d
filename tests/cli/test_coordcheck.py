"""The command as users meet it: in its own process, with odd input, killed and resumed."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import ENVIRONMENT, Forked, run, run_process

FILES = ("result.json", "recording.jsonl", "report.html", "coordcheck.png", "coordcheck.svg")
SMALL = ["--widths", "64,128", "--seeds", "3", "--steps", "1"]
SLOWER = ["--widths", "64,128,256", "--seeds", "4", "--steps", "2"]
MODEL = """
from torch import nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, 256)

    def forward(self, tokens):
        return self.head(self.hidden(self.embedding(tokens)).relu())
"""
MODULES = {
    "mymodel": MODEL + "build = Model\n",
    "nobuild": "class thing:\n    build = staticmethod(lambda width: 1)\n",
    "raises": "def build(width):\n    raise RuntimeError('no such luck')\n",
    "broken": "import nothing_of_the_kind\n",
    "crashes": "1 / 0\n",
    "wrong": "def build(width):\n    return 3\n",
    "badloss": MODEL + "build = Model\n\ndef loss(model, batch):\n    return model(batch)\n",
    "tied": MODEL
    + """
def build(width):
    model = Model(width)
    model.head.weight = model.embedding.weight
    return model
""",
    "same": MODEL + "def build(width):\n    return Model(64)\n",
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("abc")
    return tmp_path


def test_help_loads_nothing_heavy(here: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "umup_diag.cli", "--help"]
    done = subprocess.run(
        command,
        cwd=here,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "coordcheck" in done.stdout
    imported = {line.rsplit("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"torch", "vl_convert", "jinja2", "pandas", "numba", "scipy", "numpy"}


BAD = [
    (["--model", "no.such.model"], "there is no module 'no' here or on the Python path"),
    (["--model", "mymodel:nothing"], "mymodel has no attribute 'nothing'"),
    (["--model", "reference_model"], "reference_model:umup"),
    (["--model", "nobuild"], "offers no build(width)"),
    (["--model", "nobuild:thing"], "build(64) returned int, not an nn.Module"),
    (["--model", "raises"], "build(64) raised RuntimeError at raises.py:2: no such luck"),
    (
        ["--model", "broken"],
        "importing it raised ModuleNotFoundError at broken.py:1: No module named 'nothing_of_",
    ),
    (["--model", "crashes"], "importing it raised ZeroDivisionError"),
    (["--model", "wrong"], "build(64) returned int"),
    (["--model", "badloss"], "must return a scalar tensor"),
    (["--model", "same"], "no parameter grows between widths 64 and 128"),
    (["--widths", "4096..128"], "write the smaller first"),
    (["--widths", "128..1000"], "times a power of two"),
    (["--widths", "1"], "'1' is one width; a slope takes two or more"),
    (["--widths", "0"], "a width is at least 1"),
    (["--widths", "0..8"], "a width is at least 1"),
    (["--widths", "abc"], "'abc' is neither like 128..4096 nor like 128,256,512"),
    (["--widths", "128"], "is one width"),
    (["--widths", "100,200"], "width 100 is not a multiple of the head size 64"),
    (["--depths", "4"], "'4' is one depth; a slope takes two or more"),
    (["--depths", "a"], "'a' is neither like 2..64 nor like 2,4,8"),
    (["--model", "mymodel", "--depths", "2,4"], "its build takes no depth"),
    (["--axis", "kv_repeat"], "'kv_repeat' is not like kv_repeat=1..8"),
    (["--axis", "depth=2,4"], "depth has an option of its own; use --depths"),
    (["--axis", "heads=2,4"], ": there is no 'heads'; there are head_dim"),
    (["--width", "64"], "--width is where other axes are varied"),
    (["--depths", "2,4", "--build", "depth=3"], "--build depth is an axis as well"),
    (["--depths", "2,4", "--verify-fix"], "--verify-fix knows width alone"),
    (["--steps", "0"], "0 is not in the range x>=1"),
    (["--seeds", "0"], "0 is not in the range x>=1"),
    (["--optimizer", "adm"], "no optimizer 'adm'; there are adam, adamw, sgd"),
    (["--target", "mump"], "no scheme 'mump'"),
    (["--lr", "0"], "0.0 is not in the range x>0"),
    (["--build", "depth"], "'depth' is not like depth=8"),
    (["--build", "heads=3"], ": there is no 'heads'; there are head_dim"),
    (["--weight-decay", "-1"], "-1.0 is not in the range x>=0"),
    (["--weight-decay", "0.1", "--optimizer", "adam"], "use --optimizer adamw"),
    (["--model", "mymodel", "--optimizer", "muon"], "by use_muon = True or False"),
    (["--text", "missing.txt"], "cannot read the text missing.txt: No such file"),
    (["--text", "empty.txt"], "the text empty.txt is empty"),
    (["--text", "short.txt"], "has 3 bytes, but a sequence takes 9"),
    (["--out", "mymodel.py/out"], "cannot write to --out mymodel.py/out"),
    (["--device", "cuda:99"], "--device cuda:99"),
    (["--device", "abacus"], "--device abacus"),
    (["--resume", "nowhere"], "there is no recording nowhere/recording.jsonl"),
    (["--no-such-option"], "No such option"),
]


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_input_is_one_clear_error_and_exit_2(args: list[str], message: str, here: Path) -> None:
    base = [] if args[0] in ("--resume", "--widths", "--steps", "--seeds") else SMALL
    done = run(here, "coordcheck", *base, *args)
    assert done.exit_code == 2
    assert done.out == ""
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
    assert not list(here.rglob("result.json"))


def markup(page: str) -> str:
    """A page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_a_users_model_from_the_working_directory(here: Path) -> None:
    done = run_process(here, "coordcheck", "--model", "mymodel", *SMALL, "--optimizer", "sgd")
    assert done.exit_code == 1, done.err  # PyTorch's own parametrization is not µP
    assert "First offender" in done.out
    out = here / "reports" / "coordcheck"
    assert {path.name for path in out.iterdir()} == set(FILES)
    page = (out / "report.html").read_text()
    assert not [word for word in ("src=", 'href="http', "@import", "url(") if word in markup(page)]


def test_options_of_build_and_a_weight_decay(here: Path) -> None:
    words = ["--build", "depth=1", "--build", "head_dim=16", "--build", "weight_decay_rule=lr-free"]
    done = run(here, "coordcheck", *SMALL, *words, "--optimizer", "adamw", "--weight-decay", "0.01")
    assert done.exit_code in (0, 1, 3), done.err
    result = json.loads((here / "reports/coordcheck/result.json").read_text())
    assert result["settings"]["build"] == {
        "depth": 1,
        "head_dim": 16,
        "weight_decay_rule": "lr-free",
    }
    tensors = {finding["tensor"] for finding in result["findings"]}
    assert {"layers.0.ffn.up"} == {name for name in tensors if name.endswith("ffn.up")}
    decays = [f["slope"] for f in result["findings"] if f["kind"] == "weight_decay"]
    assert decays
    assert max(decays) < -0.9  # lr·λ falls as 1/width


def test_a_model_whose_readout_is_its_embedding(here: Path) -> None:
    done = run(here, "coordcheck", "--model", "tied", *SMALL)
    assert done.exit_code == 1, done.err  # PyTorch's own rates
    assert "Traceback" not in done.err
    found = json.loads((here / "reports/coordcheck/result.json").read_text())["findings"]
    assert {f["tensor"] for f in found if f["fix"]} >= {"head"}, "its multiplier is missing"
    (steps,) = {str(f["fix_steps"]) for f in found if f["tensor"] == "head" and f["fix"]}
    assert "'what': 'multiplier', 'exponent': -" in steps


def test_json_is_the_result_and_nothing_else(here: Path) -> None:
    done = run(here, "coordcheck", *SMALL, "--json", "--model", "mymodel")
    result = json.loads(done.out)
    assert done.err == ""
    assert result == json.loads((here / "reports/coordcheck/result.json").read_text())
    assert (result["schema"], result["command"]) == (1, "coordcheck")
    finding = result["findings"][0]
    contract = {"tensor", "kind", "step", "slope", "interval", "expected", "band", "verdict"}
    assert contract | {"cause", "fix"} <= finding.keys()


def test_the_same_command_twice_gives_the_same_bytes(here: Path) -> None:
    results = []
    for name in ("first", "second"):
        run(here, "coordcheck", "--model", "mymodel", *SMALL, "--out", name)
        results.append([(here / name / file).read_bytes() for file in FILES])
    assert results[0] == results[1]


def test_an_unfinished_recording_is_set_aside_not_lost(here: Path) -> None:
    command = ["coordcheck", "--model", "mymodel", *SMALL, "--out", "o"]
    run(here, *command)
    path = here / "o" / "recording.jsonl"
    path.write_bytes(path.read_bytes()[:-100])
    run(here, *command)
    assert (here / "o" / "recording.unfinished.jsonl").exists()
    run(here, *command)  # a finished one is replaced
    assert len(list((here / "o").iterdir())) == len(FILES) + 1


def test_resume_keeps_its_own_settings(here: Path) -> None:
    run(here, "coordcheck", "--model", "mymodel", *SMALL, "--out", "o")
    done = run(here, "coordcheck", "--resume", "o", "--seeds", "9")
    assert done.exit_code == 2
    assert "--seeds does not go with --resume" in done.err


def kill_and_resume(here: Path, out: str, after: float, how: signal.Signals) -> str:
    """Start a check, end it by a signal, resume it; return what the first one said."""
    started = Forked.start(here, "coordcheck", "--model", "mymodel", *SLOWER, "--out", out)
    recording = here / out / "recording.jsonl"
    while not recording.exists():
        time.sleep(0.01)
        assert started.is_running()
    time.sleep(after)
    said = started.end(how)
    done = run(here, "coordcheck", "--resume", out)
    assert done.exit_code in (0, 1, 3), done.err
    return said


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(here: Path, times: int) -> None:
    run(here, "coordcheck", "--model", "mymodel", *SLOWER, "--out", "whole")
    whole = here / "whole"
    recorded = (whole / "recording.jsonl").stat()
    length = (whole / "result.json").stat().st_mtime - recorded.st_ctime + 1.0
    expected = [(whole / file).read_bytes() for file in FILES]
    moments = random.Random(0)
    for n in range(times):
        kill_and_resume(here, f"k{n}", moments.uniform(0, length), signal.SIGKILL)
        assert [(here / f"k{n}" / file).read_bytes() for file in FILES] == expected, n


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(here: Path) -> None:
    said = kill_and_resume(here, "o", 0.1, signal.SIGINT)
    assert "runs are recorded" in said
    assert "umup-diag coordcheck --resume o" in said
    assert "Traceback" not in said
