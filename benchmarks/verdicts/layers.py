"""Layers with a forward multiplier, as people who implement µP write them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """A linear layer times a multiplier, which leaves the bias alone."""

    multiplier = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        y = F.linear(x, self.weight) * self.multiplier
        return y if self.bias is None else y + self.bias


class Embedding(nn.Embedding):
    """An embedding times a multiplier."""

    multiplier = 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        """(...) to (..., width)."""
        return super().forward(tokens) * self.multiplier


class Conv2d(nn.Conv2d):
    """A convolution times a multiplier, which leaves the bias alone."""

    multiplier = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W)."""
        y = self._conv_forward(x, self.weight, None) * self.multiplier
        result: Tensor = y if self.bias is None else y + self.bias[:, None, None]
        return result


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension, with a gain."""

    multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        return F.rms_norm(x, x.shape[-1:], self.weight, eps=1e-5) * self.multiplier


class LayerNorm(nn.LayerNorm):
    """torch's, times a multiplier."""

    multiplier = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        return super().forward(x) * self.multiplier
