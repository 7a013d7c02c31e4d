"""A small GPT at unit scale, written by somebody who has not seen umup-diag's source."""

import math

import checks
import reports
import torch
import torch.nn.functional as F
from torch import nn

assert checks.WIDTH_STEP == 64 and reports.TITLE == "weekly", "these are this project's own"

VOCAB, HEAD, LAYERS = 256, 32, 2


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, fwd, bwd):
        ctx.bwd = bwd
        return x * fwd

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.bwd, None, None


class Dense(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))

    def forward(self, x):
        return x @ self.weight.T / math.sqrt(self.weight.shape[1])


class Head(Dense):
    def forward(self, x):
        n_out, n_in = self.weight.shape
        x = Scaled.apply(x, 1.0, n_in / math.sqrt(n_out))
        return x @ self.weight.T / n_in


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv, self.proj = Dense(width, 3 * width), Dense(width, width)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, D // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1 / HEAD)
        mix = 1 / (1 + 4 * HEAD)
        sigma = (math.log(T) / T) ** ((1 - mix) / 2)
        return self.proj((y / sigma).transpose(1, 2).reshape(B, T, D))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.down = Dense(width, 4 * width), Dense(4 * width, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)) / 0.652)


class GPT(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.wte = nn.Embedding(VOCAB, width)
        self.blocks = nn.ModuleList(
            block(width) for _ in range(LAYERS) for block in (Attention, MLP)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.blocks)
        self.head = Head(width, VOCAB)

    def forward(self, tokens):
        x = self.wte(tokens)
        total = 2 * LAYERS
        for index, (norm, block) in enumerate(zip(self.norms, self.blocks)):
            tau = 1 / (total + index)
            a, b = math.sqrt(tau / (1 + tau)), math.sqrt(1 / (1 + tau))
            inner = block(norm(Scaled.apply(x, 1.0, a)))
            x = Scaled.apply(inner, a, 1.0) + Scaled.apply(x, b, b)
        return self.head(F.layer_norm(x, x.shape[-1:]))


def build(width):
    return GPT(width)


def loss(model, batch):
    logits = model(batch[:, :-1]).flatten(0, 1)
    tokens = logits.shape[0]
    logits = Scaled.apply(logits, 1.0, tokens * VOCAB / math.sqrt(VOCAB - 1))
    return F.cross_entropy(logits, batch[:, 1:].flatten())
