"""`umup-diag transfer` as users meet it: odd input, real training, killed and resumed."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from tests.cli.command import Forked, run, run_process
from tests.cli.test_coordcheck import MODEL

TINY = [
    *("--model", "mymodel", "--over", "width=8,16,32", "--lr", "1e-3..1e-1", "--steps", "24"),
    *("--batch-size", "2", "--seq-len", "8", "--seeds", "2", "--device", "cpu"),
]
FILES = ("recording.jsonl", "result.json")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "mymodel.py").write_text(MODEL + "build = Model\n")
    (tmp_path / "own.py").write_text(
        MODEL + "import torch\nbuild = Model\n"
        "def optimizer(model):\n    return torch.optim.SGD(model.parameters(), lr=0.1)\n"
    )
    return tmp_path


BAD = [
    (["--over", "girth=2,4"], "build(64) raised TypeError"),
    (["--over", "width=64"], "no axis would grow; give one axis two values or more"),
    (["--over", "width=8,16", "depth=2,4"], "width and depth would grow"),
    (["--over", "width=8,16", "--lr", "0.01"], "lr from 0.01 to 0.01 is a grid of one point"),
    (["--over", "width=8,16", "--lr", "1e-1..1e-3"], "write the smaller end first"),
    (["--over", "width=8,16", "--lr", "fast"], "'fast' is neither a number nor a range"),
    (["--over", "width=8,16", "--lr", "0..1"], "a range is of positive numbers"),
    (["--over", "width=8,16", "--values", "1..8"], "give the rates as --lr A..B"),
    (["--over", "width=8,16", "--hp", "width"], "--hp width is an axis of --over"),
    (
        ["--hp", "weight_decay", "--lr", "1e-3..1e-1"],
        "--lr takes one value while --hp",
    ),
    (["--hp", "weight_decay", "--values", "0.1"], "is a grid of one point"),
    (["--hp", "seed", "--over", "width=8,16"], "trained with several seeds already"),
    (["--over", "seed=1,2"], "trained with several seeds already"),
    (["--over", "width=8,16", "seed=3"], "trained with several seeds already"),
    (["--hp", "batch_size", "--over", "width=8,16"], "as in --over batch_size="),
    (["--hp", "nothing", "--over", "width=8,16"], "unexpected keyword argument 'nothing'"),
    (["--model", "own", "--over", "width=8,16"], "--hp lr needs --optimizer: own brings its own"),
    (["--cluster", "abacus"], "--cluster abacus: there are slurm and local"),
    (["--cluster", "local", "--cluster-option", "gpu"], "write NAME=VALUE, as in partition=gpu"),
    (["--cluster", "local", "--cluster-option", "speed=1"], "--cluster local: "),
    (["--jobs", "0"], "0 is not in the range x>=1"),
    (["--resume", "nowhere"], "there is no recording nowhere/recording.jsonl"),
]


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_input_is_one_clear_error_and_exit_2(args: list[str], message: str, here: Path) -> None:
    base = [] if "--resume" in args else ["--jobs", "1", "--model", "mymodel", "--steps", "8"]
    done = run(here, "transfer", *base, *args)
    assert done.exit_code == 2
    assert done.out == ""
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
    assert not list(here.rglob("result.json"))


def test_killed_again_and_again_it_ends_in_the_same_bytes(here: Path) -> None:
    whole = run(here, "transfer", *TINY, "--jobs", "1", "--out", "whole")
    assert whole.exit_code in (0, 1, 3)
    assert "octaves a doubling" in whole.out or "edge" in whole.out
    assert not whole.err
    draw, how = random.Random(0), ["--out", "cut", *TINY]
    cut, kills = here / "cut", 0
    while not (cut / "result.json").exists():
        begun = Forked.start(here, "transfer", *how, "--jobs", "1")
        deadline = time.monotonic() + 60
        wanted = _lines(cut) + draw.randint(2, 12)
        while begun.is_running() and _lines(cut) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        kills += begun.is_running()
        assert not begun.end(signal.SIGKILL)
        if (cut / "recording.jsonl").exists():
            how = ["--resume", "cut"]
    assert kills >= 3
    _assert_alike(here / "whole", cut)


@pytest.mark.slow
def test_so_it_does_with_two_processes_and_none_is_left(here: Path) -> None:
    assert run_process(here, "transfer", *TINY, "--jobs", "1", "--out", "whole").exit_code != 2
    how = ["--out", "cut", *TINY]
    for lines in (3, 20, 30):
        begun = Forked.start(here, "transfer", *how, "--jobs", "2")
        while begun.is_running() and _lines(here / "cut") < lines:
            time.sleep(0.01)
        begun.end(signal.SIGKILL)
        how = ["--resume", "cut"]
    assert run_process(here, "transfer", *how, "--jobs", "2").exit_code != 2
    _assert_alike(here / "whole", here / "cut")


def _lines(folder: Path) -> int:
    file = folder / "recording.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def _assert_alike(one: Path, other: Path) -> None:
    first, second = ((each / "result.json").read_text() for each in (one, other))
    assert json.loads(first)["findings"] == json.loads(second)["findings"]
    frames = [(each / "recording.jsonl").read_bytes().split(b"\n", 1)[1] for each in (one, other)]
    assert frames[0] == frames[1]
