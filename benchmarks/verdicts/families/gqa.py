"""Grouped-query attention written out, with RMSNorm and a gated FFN; two ways to grow."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family

VOCABULARY, DEPTH, HEAD_DIM, HEADS, REPEAT = 256, 2, 16, 4, 2


class Attention(nn.Module):
    """Causal attention whose keys and values serve `REPEAT` queries each."""

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.q = Linear(width, width, bias=False)
        self.k = Linear(width, width // REPEAT, bias=False)
        self.v = Linear(width, width // REPEAT, bias=False)
        self.out = Linear(width, width, bias=False)
        self.scale = HEAD_DIM**0.5 / head_dim  # 1/d, and 1/√d at the base

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        B, T, D = x_BTD.shape
        q, k, v = (
            layer(x_BTD).view(B, T, -1, self.head_dim).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        k, v = (each.repeat_interleave(REPEAT, dim=1) for each in (k, v))
        logits = q @ k.mT * self.scale
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        weights = logits.masked_fill(future, -torch.inf).softmax(-1)
        y: Tensor = self.out((weights @ v).transpose(1, 2).reshape(B, T, D))
        return y


class Block(nn.Module):
    """Pre-norm attention and gated FFN."""

    branch = 1.0

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = RMSNorm(width), RMSNorm(width)
        self.attention = Attention(width, head_dim)
        self.gate, self.up = (Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down = Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.attention(self.norm_1(x))
        h = self.norm_2(x)
        result: Tensor = x + self.branch * self.down(F.silu(self.gate(h)) * self.up(h))
        return result


class GQA(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int, *, heads_grow: bool) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        head_dim = HEAD_DIM if heads_grow else width // HEADS
        self.blocks = nn.ModuleList(Block(width, head_dim) for _ in range(DEPTH))
        self.norm = RMSNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x) * self.input_multiplier)
        return logits * self.output_multiplier


MORE_HEADS = Family(name="gqa", network=partial(GQA, heads_grow=True), sizes={"head": 0.25})
WIDER_HEADS = Family(
    name="gqa-wide-heads",
    network=partial(GQA, heads_grow=False),
    sizes={"head": 0.25},
    expected={"*.q": (-1.1, 0.1), "*.k": (-1.1, 0.1)},
    why="with 1/d and growing heads the logits are not aligned at init: first gradients are n^-½ "
    "smaller, which tells once under Adam and twice under SGD, and passes as keys move",
)
