"""What walks along the sequence without attention: retention, RWKV, LSTM, WaveNet; and experts."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.layers import Embedding, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.untouched.layers import (
    HEAD_DIM,
    VOCABULARY,
    CausalConv1d,
    Decoder,
    Residual,
    heads,
    shifted,
)

SMALL_HEAD = {"head": 0.25}


class Retention(nn.Module):
    """RetNet's: no softmax, a fixed decay a head, a norm, a gate.

    The norm is over all heads: over one alone the first position is a sign, of unbounded slope.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = HEAD_DIM**-0.5
        self.q, self.k, self.v, self.gate, self.out = (
            Linear(width, width, bias=False) for _ in range(5)
        )
        half_lives = torch.linspace(1, 6, width // HEAD_DIM)
        self.register_buffer("decay", 1 - 2**-half_lives)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        q, k, v = (heads(layer(x_BTD)) for layer in (self.q, self.k, self.v))
        place = torch.arange(x_BTD.shape[1])
        age = place[:, None] - place
        keep = torch.where(age >= 0, self.decay[:, None, None] ** age.clamp(min=0), 0.0)  # type: ignore[index]
        mixed = (q @ k.mT * self.scale * keep) @ v
        mixed = F.rms_norm(mixed.transpose(1, 2).flatten(2), x_BTD.shape[-1:], eps=1e-5)
        y: Tensor = self.out(F.silu(self.gate(x_BTD)) * mixed)
        return y


class TimeMix(nn.Module):
    """RWKV-4's: keys weigh values, older ones less by a learned decay a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.receptance, self.key, self.value, self.out = (
            Linear(width, width, bias=False) for _ in range(4)
        )
        self.mix_r, self.mix_k, self.mix_v = (
            nn.Parameter(torch.full((width,), 0.5)) for _ in range(3)
        )
        self.decay, self.bonus = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.ones(width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        before = shifted(x_BTD)
        r, k, v = (
            layer(x_BTD * mix + before * (1 - mix))
            for layer, mix in (
                (self.receptance, self.mix_r),
                (self.key, self.mix_k),
                (self.value, self.mix_v),
            )
        )
        keep = torch.exp(-torch.exp(self.decay))
        above = below = torch.zeros_like(k[:, 0])
        mixed = []
        for key, value in zip(k.unbind(1), v.unbind(1), strict=True):
            now = torch.exp(self.bonus + key)
            mixed.append((above + now * value) / (below + now))
            above, below = keep * above + key.exp() * value, keep * below + key.exp()
        y: Tensor = self.out(r.sigmoid() * torch.stack(mixed, 1))
        return y


class ChannelMix(nn.Module):
    """RWKV-4's FFN: squared ReLU, gated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.receptance = Linear(width, width, bias=False)
        self.key = Linear(width, 2 * width, bias=False)
        self.value = Linear(2 * width, width, bias=False)
        self.mix_r, self.mix_k = (nn.Parameter(torch.full((width,), 0.5)) for _ in range(2))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        before = shifted(x_BTD)
        gate = self.receptance(x_BTD * self.mix_r + before * (1 - self.mix_r)).sigmoid()
        key = F.relu(self.key(x_BTD * self.mix_k + before * (1 - self.mix_k))).square()
        y: Tensor = gate * self.value(key)
        return y


class LSTM(nn.Module):
    """torch's own, two layers; forget gates start open."""

    input_multiplier = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.head = Linear(width, VOCABULARY, bias=False)
        with torch.no_grad():
            for name, parameter in self.lstm.named_parameters():
                if name.startswith("bias"):
                    parameter.zero_()
                if name.startswith("bias_ih"):
                    parameter[width : 2 * width] = 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        states, _ = self.lstm(self.embedding(tokens))
        logits: Tensor = self.head(states * self.input_multiplier)
        return logits * self.output_multiplier


class WaveNet(nn.Module):
    """Dilated causal convolutions, gated; what each layer skips ahead is summed."""

    branch = output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.filter = nn.ModuleList(
            CausalConv1d(width, width, 2, dilation=2**layer) for layer in range(3)
        )
        self.gate = nn.ModuleList(
            CausalConv1d(width, width, 2, dilation=2**layer) for layer in range(3)
        )
        self.residual = nn.ModuleList(CausalConv1d(width, width, 1) for _ in range(3))
        self.skip = nn.ModuleList(CausalConv1d(width, width, 1) for _ in range(3))
        self.last = CausalConv1d(width, width, 1)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        x = self.embedding(tokens).mT
        skipped = torch.zeros_like(x)
        for filtered, gate, residual, skip in zip(
            self.filter, self.gate, self.residual, self.skip, strict=True
        ):
            h = torch.tanh(filtered(x)) * torch.sigmoid(gate(x))
            skipped = skipped + skip(h)
            x = x + self.branch * residual(h)
        logits: Tensor = self.head(F.relu(self.last(F.relu(skipped))).mT)
        return logits * self.output_multiplier


class SharedExperts(nn.Module):
    """One expert for every token, and the best 2 of 4 stacked ones by a sigmoid router."""

    EXPERTS, ACTIVE = 4, 2

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shared_up, self.shared_down = (Linear(width, width, bias=False) for _ in range(2))
        self.router = Linear(width, self.EXPERTS, bias=False)
        self.up = nn.Parameter(torch.empty(self.EXPERTS, width, width))
        self.down = nn.Parameter(torch.empty(self.EXPERTS, width, width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        liked = self.router(x_BTD).sigmoid()
        best = liked.topk(self.ACTIVE).indices
        share = liked * torch.zeros_like(liked).scatter(-1, best, 1.0)
        share = share / share.sum(-1, keepdim=True)
        wide = F.silu(torch.einsum("btd,edf->betf", x_BTD, self.up))
        routed = torch.einsum("betf,efd->betd", wide, self.down)
        y: Tensor = self.shared_down(F.silu(self.shared_up(x_BTD)))
        return y + torch.einsum("betd,bte->btd", routed, share)


class Average(nn.Module):
    """The mean of the context so far, mixed in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = Linear(width, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Shape stays."""
        past = torch.arange(1, x_BTD.shape[1] + 1).unsqueeze(-1)
        y: Tensor = self.mix(x_BTD.cumsum(1) / past**0.5)
        return y


RETENTION = Family(
    name="retention",
    network=partial(Decoder, block=partial(Residual, mix=Retention)),
    sizes=SMALL_HEAD,
)
RWKV = Family(
    name="rwkv",
    network=partial(Decoder, block=partial(Residual, mix=TimeMix, ffn=ChannelMix)),
    sizes=SMALL_HEAD,
)
LSTM_FAMILY = Family(
    name="lstm",
    network=LSTM,
    sizes=SMALL_HEAD,
    layout={"lstm.weight_*": (0, (1,))},
)
WAVENET = Family(
    name="wavenet",
    network=WaveNet,
    sizes=SMALL_HEAD,
    rates={"sgd": 0.25, "momentum": 0.25},
)
SHARED_EXPERTS = Family(
    name="shared-experts",
    network=partial(Decoder, block=partial(Residual, mix=Average, ffn=SharedExperts), norm=RMSNorm),
    sizes=SMALL_HEAD,
    layout={"*.ffn.up": (2, (1,)), "*.ffn.down": (2, (1,))},
    expected={"*.router": (-1.3, 0.6)},
    why="a router's gradient is a difference of experts' outputs along a residual that is not "
    "aligned at init",
)
