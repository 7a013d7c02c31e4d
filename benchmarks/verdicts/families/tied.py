"""A small GPT whose readout is its embedding: no biases, RMSNorm, squared ReLU."""

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family

VOCABULARY, HEAD_DIM, DEPTH = 256, 16, 2


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    branch = 1.0
    scale = HEAD_DIM**-0.5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = RMSNorm(width), RMSNorm(width)
        self.q, self.k, self.v, self.out = (Linear(width, width, bias=False) for _ in range(4))
        self.up = Linear(width, 2 * width, bias=False)
        self.down = Linear(2 * width, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        x_BTD = x_BTD + self.branch * self.attend(self.norm_1(x_BTD))
        result: Tensor = x_BTD + self.branch * self.down(
            F.relu(self.up(self.norm_2(x_BTD))).square()
        )
        return result

    def attend(self, x_BTD: Tensor) -> Tensor:
        """Causal self-attention."""
        B, T, D = x_BTD.shape
        q, k, v = (
            layer(x_BTD).view(B, T, -1, HEAD_DIM).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(B, T, D))
        return y


class TiedGPT(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(DEPTH))
        self.norm = RMSNorm(width)
        self.readout = width**-1.0  # µP's multiplier; the weight is the embedding's, of size 1

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        result: Tensor = (
            F.linear(self.norm(x), self.embedding.weight) * self.readout * self.output_multiplier
        )
        return result


FAMILY = Family(name="tied", network=TiedGPT)
