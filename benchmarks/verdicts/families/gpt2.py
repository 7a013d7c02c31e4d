"""GPT-2 like: biases, fused QKV, LayerNorm with gains, learned positions, GELU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family

VOCABULARY, HEAD_DIM, DEPTH, CONTEXT = 256, 16, 2, 64


class Attention(nn.Module):
    """Causal self-attention from one fused projection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)
        self.scale = HEAD_DIM**-0.5

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        B, T, D = x_BTD.shape
        q, k, v = self.qkv(x_BTD).view(B, T, 3, -1, HEAD_DIM).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(B, T, D))
        return y


class Block(nn.Module):
    """Pre-norm attention and MLP, each added times `branch`."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.attention = LayerNorm(width), Attention(width)
        self.ln_2 = LayerNorm(width)
        self.up, self.down = Linear(width, 2 * width), Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = x + self.branch * self.attention(self.ln_1(x))
        result: Tensor = x + self.branch * self.down(F.gelu(self.up(self.ln_2(x))))
        return result


class GPT2(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.tokens = Embedding(VOCABULARY, width)
        self.positions = Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(DEPTH))
        self.ln_f = LayerNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.ln_f(x) * self.input_multiplier)
        return logits * self.output_multiplier


FAMILY = Family(name="gpt2", network=GPT2, sizes={"head": 0.25})
