"""An input that several layers take is counted once, and again as soon as it has changed."""

import pytest
import torch
from torch import nn

from umup_diag.measure import recorded_step as module
from umup_diag.measure.recorder import Recorder
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind


class Two(nn.Module):
    def __init__(self, between: str) -> None:
        super().__init__()
        self.a, self.b, self.between = nn.Linear(8, 8), nn.Linear(8, 8), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.a(x)
        match self.between:
            case "changed in place":
                x.mul_(3)
            case "other data":
                x.data = x.data * 3
            case "a copy":
                x = x * 3
        out: torch.Tensor = first + self.b(x)
        return out


@pytest.mark.parametrize("between", ["nothing", "changed in place", "other data", "a copy"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_once(between: str, mode: type, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    class Counting:
        @staticmethod
        def of(tensor: torch.Tensor) -> CodeHistogram:
            counted.append(tensor)
            return CodeHistogram.of(tensor)

    monkeypatch.setattr(module, "CodeHistogram", Counting)
    recorder = Recorder(Two(between))
    with recorder.step({Kind.INPUT}), mode():
        x = torch.randn(5, 8)
        before = x.clone()
        recorder.model(x)
    records = {each.tensor: each.histogram for each in recorder.take()}
    assert records["a"] == CodeHistogram.of(before)
    assert records["b"] == CodeHistogram.of(before if between == "nothing" else before * 3)
    is_once = between == "nothing" and mode is torch.no_grad  # inference counts no changes
    assert len(counted) == (1 if is_once else 2)
