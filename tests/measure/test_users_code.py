"""An exception in a user's code names their file and line; one of ours is let through."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from umup_diag.errors import InputError
from umup_diag.measure.users_code import calling, import_module


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def load(here: Path, name: str, text: str) -> None:
    (here / f"{name}.py").write_text(text)
    try:
        import_module(name, name)
    finally:
        sys.modules.pop(name, None)


IMPORTS = {
    "exits": ("import sys\nsys.exit('usage')\n", r"called sys.exit\('usage'\) at exits.py:2"),
    "quits": ("raise SystemExit\n", r"called sys.exit\(\) at quits.py:1"),
    "syntax": ("x = 1\ndef f(\n", "met a SyntaxError at syntax.py:2"),
    "divides": ("x = 1\n\ny = x / 0\n", "raised ZeroDivisionError at divides.py:3: division by"),
    "needs": ("import nothing_of_the_kind\n", "raised ModuleNotFoundError at needs.py:1: No mod"),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_importing_it(here: Path, name: str) -> None:
    text, message = IMPORTS[name]
    with pytest.raises(InputError, match=message) as caught:
        load(here, name, text)
    assert str(caught.value).count("\n") <= 1


def test_a_module_that_is_not_there(here: Path) -> None:
    with pytest.raises(InputError, match="there is no module 'nowhere'"):
        import_module("nowhere", "--model nowhere")


def test_the_line_is_the_users_where_torch_raises() -> None:
    message = rf"called raised RuntimeError at .*{Path(__file__).name}:"
    with pytest.raises(InputError, match=message), calling("called"):
        nn.Linear(2, 3)(torch.ones(4, 5))


def test_a_message_of_many_lines_becomes_one() -> None:
    with pytest.raises(InputError) as caught, calling("called"):
        raise ValueError("a\n\n  b\tc")
    assert str(caught.value).endswith(": a b c")


def test_an_error_of_ours_under_the_users_call_is_let_through() -> None:
    from umup_diag.numerics import formats

    with pytest.raises(AttributeError), calling("called"):
        formats.get(3)  # type: ignore[arg-type]


def test_a_stand_in_of_ours_counts_as_the_users() -> None:
    from umup_diag.measure.subject import next_token_loss

    class Refuses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(1) @ torch.ones(2)

    with pytest.raises(InputError, match="called raised RuntimeError"), calling("called"):
        next_token_loss(Refuses(), torch.zeros(2, 3, dtype=torch.long))


def test_an_input_error_says_enough_already() -> None:
    with pytest.raises(InputError, match=r"^as it is$"), calling("called"):
        raise InputError("as it is")
