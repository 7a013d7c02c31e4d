"""Linear attention: no softmax, a positive feature map, a running sum."""

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family

VOCABULARY, DEPTH, HEAD_DIM = 256, 2, 16


class LinearAttention(nn.Module):
    """Causal; weights are products of positive features, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.gate, self.out = (
            Linear(width, width, bias=False) for _ in range(5)
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        B, T, D = x_BTD.shape
        q, k, v = (
            layer(x_BTD).view(B, T, -1, HEAD_DIM).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        weights = ((F.elu(q) + 1) @ (F.elu(k) + 1).mT).tril()
        mixed = (weights / weights.sum(-1, keepdim=True)) @ v
        y: Tensor = self.out(F.silu(self.gate(x_BTD)) * mixed.transpose(1, 2).reshape(B, T, D))
        return y


class LinearAttentionLM(nn.Module):
    """(B, T) tokens to (B, T, V) logits: attention blocks only."""

    branch = input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(DEPTH))
        self.mixers = nn.ModuleList(LinearAttention(width) for _ in range(DEPTH))
        self.norm = RMSNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + self.branch * mixer(norm(x))
        logits: Tensor = self.head(self.norm(x) * self.input_multiplier)
        return logits * self.output_multiplier


FAMILY = Family(name="linear-attention", network=LinearAttentionLM, sizes={"head": 0.25})
