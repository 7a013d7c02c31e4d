"""Layers over a sequence that later families share: convolutions, attention, gated FFNs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Linear

HEAD_DIM, VOCABULARY = 16, 256
SMALL_HEAD = {"head": 0.25}


class Conv1d(nn.Conv1d):
    """A convolution over time times a multiplier, which leaves the bias alone."""

    multiplier = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, T) to (B, out, T')."""
        y = self._conv_forward(x, self.weight, None) * self.multiplier
        result: Tensor = y if self.bias is None else y + self.bias[:, None]
        return result


class Attention(nn.Module):
    """Softmax attention of more heads as the width grows, each of `HEAD_DIM`."""

    def __init__(self, width: int, *, bias: bool = True, causal: bool = False) -> None:
        super().__init__()
        self.scale, self.causal = HEAD_DIM**-0.5, causal
        self.query, self.key, self.value, self.dense = (
            Linear(width, width, bias=bias) for _ in range(4)
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        q, k, v = (heads(layer(x_BTD)) for layer in (self.query, self.key, self.value))
        y: Tensor = self.dense(attend(q, k, v, scale=self.scale, causal=self.causal))
        return y


class GatedFFN(nn.Module):
    """Two projections up, one through GELU, their product down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down_proj = Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y: Tensor = self.down_proj(F.gelu(self.gate_proj(x)) * self.up_proj(x))
        return y


def heads(x_BTD: Tensor) -> Tensor:
    """(B, T, D) to (B, D / HEAD_DIM, T, HEAD_DIM)."""
    split: Tensor = x_BTD.unflatten(-1, (-1, HEAD_DIM))
    return split.transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, *, scale: float, causal: bool) -> Tensor:
    """(B, H, T, d) each, to (B, T, H·d)."""
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)
    result: Tensor = mixed.transpose(1, 2).flatten(2)
    return result


def rotated(x_BHTd: Tensor) -> Tensor:
    """Rotary positions: halves of each head turned by the place."""
    half = x_BHTd.shape[-1] // 2
    angle = torch.arange(x_BHTd.shape[-2]).unsqueeze(-1) * 100.0 ** (-torch.arange(half) / half)
    a, b = x_BHTd.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def waves(x: Tensor, octaves: int) -> Tensor:
    """(..., F) numbers to (..., F·2·octaves): sine and cosine at each octave."""
    angle = x.unsqueeze(-1) * 2.0 ** torch.arange(octaves)
    return torch.cat([angle.sin(), angle.cos()], -1).flatten(-2)
