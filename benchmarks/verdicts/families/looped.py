"""One block run three times (its weights are shared), post-norm, with biases."""

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family

VOCABULARY, LOOPS, HEAD_DIM = 256, 3, 16


class Block(nn.Module):
    """Attention and MLP, each followed by a norm of the sum."""

    branch = 0.5
    scale = HEAD_DIM**-0.5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        self.up, self.down = Linear(width, 2 * width), Linear(2 * width, width)
        self.norm_1, self.norm_2 = LayerNorm(width), LayerNorm(width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        B, T, D = x_BTD.shape
        q, k, v = self.qkv(x_BTD).view(B, T, 3, -1, HEAD_DIM).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        mixed = self.out(mixed.transpose(1, 2).reshape(B, T, D))
        x_BTD = self.norm_1(x_BTD + self.branch * mixed)
        y: Tensor = self.norm_2(x_BTD + self.branch * self.down(F.relu(self.up(x_BTD))))
        return y


class LoopedLM(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.block = Block(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        for _ in range(LOOPS):
            x = self.block(x)
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits * self.output_multiplier


FAMILY = Family(name="looped", network=LoopedLM, sizes={"head": 0.25})
