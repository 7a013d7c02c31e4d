"""The number of values that carry what a tensor does."""

import pytest
import torch
from torch import Tensor, nn

from umup_diag.measure.probe.widest_path import widest_paths

BATCH, WIDTH, CODE, OUT = 3, 32, 4, 5


class HomeMade(nn.Linear):
    """Several operators, which all give as few elements as the readout."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight) * 0.5 + self.bias


class Net(nn.Module):
    """A trunk with a router, a gate, a code on the way, and a readout with a temperature."""

    def __init__(self, *, skips: bool, readout: type[nn.Linear] = nn.Linear) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.encode, self.decode = nn.Linear(WIDTH, CODE), nn.Linear(CODE, WIDTH)
        self.router = nn.Linear(WIDTH, 2)
        self.scale = nn.Parameter(torch.ones(()))
        self.head = readout(WIDTH, OUT)
        self.temperature = nn.Parameter(torch.ones(()))
        self.skips = skips

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.decode(self.encode(x)) + (x if self.skips else 0.0)
        gates = self.router(x).softmax(-1)
        x = gates[:, :1] * self.second(x) * self.scale + gates[:, 1:] * x
        out: Tensor = self.head(x) * self.temperature
        return out


def paths(model: nn.Module, x: Tensor) -> dict[str, int]:
    ends: list[tuple[Tensor, Tensor]] = []
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, args, out: ends.append((args[0], out)))
    loss = model(x).square().mean()
    return widest_paths(loss, ends, {p: name for name, p in model.named_parameters()})


@pytest.mark.parametrize("readout", [nn.Linear, HomeMade])
@pytest.mark.parametrize("skips", [True, False])
def test_each_place_by_hand(skips: bool, readout: type[nn.Linear]) -> None:
    found = paths(Net(skips=skips, readout=readout), torch.randn(BATCH, WIDTH))
    trunk = BATCH * WIDTH if skips else BATCH * CODE
    assert found["first.weight"] == trunk, "a code narrows it, unless something goes around"
    assert found["first.bias"] == min(trunk, WIDTH)
    assert found["encode.weight"] == BATCH * CODE
    assert found["decode.weight"] == BATCH * WIDTH
    assert found["second.weight"] == BATCH * WIDTH
    assert found["router.weight"] == BATCH, "each of its gates is a way, and narrow"
    assert found["scale"] == 1
    assert found["head.weight"] == OUT * WIDTH, "what is behind the readout does not count"
    assert "temperature" not in found, "no layer follows"


def test_a_frozen_layer_lets_through() -> None:
    model = Net(skips=False)
    model.decode.requires_grad_(False)
    found = paths(model, torch.randn(BATCH, WIDTH))
    assert "decode.weight" not in found
    assert found["first.weight"] == BATCH * CODE
