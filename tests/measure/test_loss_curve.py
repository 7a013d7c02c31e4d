"""One training run of a sweep: when it is given up, and what the user's code raises in it."""

from pathlib import Path

import pytest

from umup_diag.errors import InputError
from umup_diag.measure.loss_curve import CurveTask, is_hopeless, loss_curve
from umup_diag.settings.shared import TrainingRunSettings

MODEL = """
import torch
from torch import nn


class Breaks(torch.optim.SGD):
    def step(self, closure=None):
        raise KeyError("momentum")


class Stops(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        {backward}


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner, self.head = nn.Embedding(256, width), nn.Linear(width, 256)

    def forward(self, tokens):
        return Stops.apply(self.head(self.inner(tokens)))


def build(width):
    return Net(width)


def optimizer(model):
    return Breaks(model.parameters(), lr=0.1)
"""


def given_up(losses: list[float], bound: float = 9.0) -> int | None:
    """After how many updates."""
    steps = len(losses)
    return next((n for n in range(1, steps + 1) if is_hopeless(losses[:n], steps, bound)), None)


@pytest.mark.parametrize("steps", [4, 8, 10, 60, 96, 100, 201])
def test_a_run_is_looked_at_every_eighth_whatever_its_length(steps: int) -> None:
    falls = [5.0 - 3.0 * step / steps for step in range(steps)]
    assert given_up(falls) is None
    assert given_up([5.0] * steps) == max(2, steps * 2 // 8)
    if steps >= 8:
        assert given_up(falls, bound=3.0) == steps * 4 // 8


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        ("return grad", r"optimizer\.step\(\) raised KeyError at .*faulty\.py:8: 'momentum'"),
        ("raise ValueError('no')", r"backward pass raised ValueError at .*faulty\.py:18: no"),
    ],
)
def test_what_the_users_code_raises_names_its_line(
    backward: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(MODEL.format(backward=backward))
    settings = TrainingRunSettings(model=str(path), width=8, steps=8, seq_len=8, batch_size=2)
    with pytest.raises(InputError, match=message):
        loss_curve(CurveTask(name="the run", settings=settings))
