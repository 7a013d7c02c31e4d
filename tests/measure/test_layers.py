import torch
from torch import nn

from umup_diag.measure.layers import is_layer, layers, tensors
from umup_diag.scaling.roles import Fans


class Conv1D(nn.Module):
    """Laid out as Hugging Face's GPT-2 does: (fan-in, fan-out)."""

    def __init__(self) -> None:
        super().__init__()
        self.nf = 12
        self.weight = nn.Parameter(torch.zeros(4, 12))


def test_fans_follow_each_layers_layout() -> None:
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(256, 64),
            "linear": nn.Linear(64, 171),
            "conv": nn.Conv2d(3, 8, kernel_size=5),
            "gpt2": Conv1D(),
            "norm": nn.LayerNorm(64),
        }
    )
    fans = {named.name: named.fans for named in tensors(model)}
    assert fans["embedding"] == Fans(fan_in=256, fan_out=64)
    assert fans["linear"] == Fans(fan_in=64, fan_out=171)
    assert fans["linear.bias"] == Fans(fan_in=None, fan_out=171)
    assert fans["conv"] == Fans(fan_in=75, fan_out=8)
    assert fans["gpt2"] == Fans(fan_in=4, fan_out=12)
    assert fans["norm.weight"] == Fans(fan_in=None, fan_out=64)
    assert list(layers(model)) == ["embedding", "linear", "conv", "gpt2"]
    assert not is_layer(model["norm"])


def test_a_tied_weight_goes_by_its_first_owner() -> None:
    model = nn.ModuleDict(
        {"embedding": nn.Embedding(256, 64), "head": nn.Linear(64, 256, bias=False)}
    )
    model["head"].weight = model["embedding"].weight
    assert [named.name for named in tensors(model)] == ["embedding"]
