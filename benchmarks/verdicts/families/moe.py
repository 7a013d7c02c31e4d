"""Mixture of experts, top-2 of 4, on top of mean-pooled context: routers, experts, biases."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family

VOCABULARY, DEPTH, EXPERTS, ACTIVE = 256, 2, 4, 2


class Expert(nn.Module):
    """An MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = Linear(width, width), Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y: Tensor = self.down(F.gelu(self.up(x)))
        return y


class MoE(nn.Module):
    """Each token goes to the `ACTIVE` experts that its router likes best, weighted."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.router = Linear(width, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert(width) for _ in range(EXPERTS))

    def forward(self, x_ND: Tensor) -> Tensor:
        """Shape stays."""
        weights, chosen = self.router(x_ND).softmax(-1).topk(ACTIVE)
        weights = weights / weights.sum(-1, keepdim=True)
        y_ND = torch.zeros_like(x_ND)
        for index, expert in enumerate(self.experts):
            token, place = torch.where(chosen == index)
            if len(token):
                share = weights[token, place, None]
                y_ND = y_ND.index_add(0, token, share * expert(x_ND[token]))
        return y_ND


class Block(nn.Module):
    """The mean of the context so far, mixed in; then experts."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = LayerNorm(width), LayerNorm(width)
        self.mix, self.moe = Linear(width, width), MoE(width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        past = torch.arange(1, x_BTD.shape[1] + 1).unsqueeze(-1)
        mean = self.norm_1(x_BTD).cumsum(1) / past**0.5
        x_BTD = x_BTD + self.branch * self.mix(mean)
        y = self.moe(self.norm_2(x_BTD).flatten(0, 1)).view_as(x_BTD)
        result: Tensor = x_BTD + self.branch * y
        return result


class MoELM(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(DEPTH))
        self.norm = LayerNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.head(self.norm(x)) * self.output_multiplier
        return result


FAMILY = Family(
    name="moe",
    network=MoELM,
    sizes={"head": 0.25},
    expected={"*.router": (-1.1, 0.6), "*.experts.*": (-1.5, 1.5)},
    why="32 tokens reach few experts, and another few at each width; a router's gradient is a "
    "difference of experts' outputs along a residual that shrinks as the first logits do",
)
