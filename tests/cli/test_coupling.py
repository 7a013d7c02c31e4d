"""`umup-diag coupling` as users meet it: real training, odd input."""

import json
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.cli.test_coordcheck import MODEL

TINY = (
    *("--model", "mymodel", "--width", "8", "--steps", "16", "--batch-size", "2", "--seq-len", "8"),
    *("--seeds", "2", "--device", "cpu", "--jobs", "1"),
)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "mymodel.py").write_text(MODEL + "build = Model\n")
    return tmp_path


def test_pairs_are_trained_and_told(here: Path) -> None:
    words = ("--optimizer", "adamw", "--hp", "lr=1e-3,1e-2,1e-1", "weight_decay=0.1,1")
    done = run(here, "coupling", *TINY, *words, "--out", "out")
    assert done.exit_code in (0, 1, 3)
    assert "nats may be lost" in done.out
    result = json.loads((here / "out" / "result.json").read_text())
    assert {f["fixed"]: f["tensor"] for f in result["findings"]} == {
        "lr": "weight_decay",
        "weight_decay": "lr",
    }
    again = run(here, "coupling", "--resume", "out", "--json")
    assert json.loads(again.out)["findings"] == result["findings"]


def test_whole_numbers_stay_whole(here: Path) -> None:
    done = run(here, "coupling", *TINY, "--hp", "lr=1e-3,1e-2", "batch_size=1,2", "--out", "out")
    assert done.exit_code in (0, 1, 3), done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hp", "lr"], "--hp takes two hyperparameters or more"),
        (["--hp", "lr", "seed"], "trained with several seeds already"),
        (["--hp", "lr", "steps=8,16"], "different numbers of updates do not compare"),
        (["--hp", "lr", "nothing"], "unexpected keyword argument 'nothing'"),
        (["--hp", "lr", "weight_decay"], "use --optimizer adamw"),
        (["--hp", "lr=fast", "alpha"], "'fast' is not a number"),
        (["--hp", "lr", "alpha=1..3"], "doubling from 1 does not meet 3"),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_2(
    words: list[str], message: str, here: Path
) -> None:
    done = run(here, "coupling", *TINY, *words)
    assert (done.exit_code, done.out) == (2, "")
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
