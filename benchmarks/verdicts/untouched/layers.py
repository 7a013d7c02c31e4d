"""Layers with a forward multiplier that only the untouched families have, and their decoder."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, Linear, RMSNorm

VOCABULARY, HEAD_DIM, DEPTH = 256, 16, 2


class CausalConv1d(nn.Conv1d):
    """A convolution that sees the past alone, times a multiplier that leaves the bias alone."""

    multiplier = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, T) to (B, out, T)."""
        past = self.dilation[0] * (self.kernel_size[0] - 1)
        y = self._conv_forward(F.pad(x, (past, 0)), self.weight, None) * self.multiplier
        result: Tensor = y if self.bias is None else y + self.bias[:, None]
        return result


class SelfAttention(nn.Module):
    """More heads as the width grows, each of `HEAD_DIM`; causal or not."""

    def __init__(self, width: int, *, bias: bool = False, causal: bool = True) -> None:
        super().__init__()
        self.scale, self.causal = HEAD_DIM**-0.5, causal
        self.q, self.k, self.v, self.out = (Linear(width, width, bias=bias) for _ in range(4))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        q, k, v = (heads(layer(x_BTD)) for layer in (self.q, self.k, self.v))
        y: Tensor = self.out(attend(q, k, v, scale=self.scale, causal=self.causal))
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


class Decoder(nn.Module):
    """Embedding, blocks, a norm and a readout: (B, T) tokens to (B, T, V) logits."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(
        self,
        width: int,
        block: Callable[[int], nn.Module],
        *,
        norm: Callable[[int], nn.Module] = RMSNorm,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.blocks = nn.ModuleList(block(width) for _ in range(DEPTH))
        self.norm = norm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x) * self.input_multiplier)
        return logits * self.output_multiplier


class FFN(nn.Module):
    """Up, GELU, down."""

    def __init__(self, width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.up = Linear(width, 2 * width, bias=bias)
        self.down = Linear(2 * width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y: Tensor = self.down(F.gelu(self.up(x)))
        return y


class Residual(nn.Module):
    """Pre-norm mixing of positions, then an FFN, each added times `branch`."""

    branch = 1.0

    def __init__(
        self,
        width: int,
        mix: Callable[[int], nn.Module],
        *,
        ffn: Callable[[int], nn.Module] = FFN,
        norm: Callable[[int], nn.Module] = RMSNorm,
    ) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = norm(width), norm(width)
        self.mix, self.ffn = mix(width), ffn(width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        x_BTD = x_BTD + self.branch * self.mix(self.norm_1(x_BTD))
        result: Tensor = x_BTD + self.branch * self.ffn(self.norm_2(x_BTD))
        return result


def shifted(x_BTD: Tensor) -> Tensor:
    """Each position's predecessor; zero before the first."""
    return F.pad(x_BTD, (0, 0, 1, 0))[:, :-1]
