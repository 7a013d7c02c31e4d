"""Models of other kinds than the dev families: recurrent, state space, mixer, U-Net, and more."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import (
    CLASSES,
    FEATURES,
    PIXELS,
    functions,
    labelled_images,
    noisy_images,
)
from benchmarks.verdicts.layers import Conv2d, Embedding, LayerNorm, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family, classification_loss, squared_error

VOCABULARY, HEAD_DIM = 256, 16


class GRU(nn.Module):
    """torch's own recurrent layer between an embedding and a readout."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        logits: Tensor = self.head(self.gru(self.embedding(tokens))[0])
        return logits


class StateSpace(nn.Module):
    """A gated diagonal recurrence with a learned decay of each channel, twice."""

    branch = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(2))
        self.into = nn.ModuleList(Linear(width, 2 * width, bias=False) for _ in range(2))
        self.out = nn.ModuleList(Linear(width, width, bias=False) for _ in range(2))
        self.decays = nn.ParameterList(torch.ones(width) for _ in range(2))
        self.norm = RMSNorm(width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        x = self.embedding(tokens)
        for norm, into, out, decay in zip(
            self.norms, self.into, self.out, self.decays, strict=True
        ):
            value, gate = into(norm(x)).chunk(2, dim=-1)
            keep, state, states = decay.sigmoid(), torch.zeros_like(value[:, 0]), []
            for step in value.unbind(1):
                state = keep * state + (1 - keep) * step
                states.append(state)
            x = x + self.branch * out(torch.stack(states, 1) * F.silu(gate))
        logits: Tensor = self.head(self.norm(x))
        return logits


class Mixer(nn.Module):
    """MLP-Mixer: patches mixed by matrices that do not grow, channels by ones that do."""

    branch = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.patches = Conv2d(3, width, 2, stride=2)
        tokens = (PIXELS // 2) ** 2
        self.norm_1, self.norm_2, self.norm = (LayerNorm(width) for _ in range(3))
        self.mix_up, self.mix_down = Linear(tokens, 32), Linear(32, tokens)
        self.up, self.down = Linear(width, 2 * width), Linear(2 * width, width)
        self.head = Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, CLASSES)."""
        x_BTD = self.patches(x).flatten(2).mT
        mixed = self.mix_down(F.gelu(self.mix_up(self.norm_1(x_BTD).mT))).mT
        x_BTD = x_BTD + self.branch * mixed
        x_BTD = x_BTD + self.branch * self.down(F.gelu(self.up(self.norm_2(x_BTD))))
        logits: Tensor = self.head(self.norm(x_BTD).mean(1))
        return logits


class UNet(nn.Module):
    """One level down and up again, the skip concatenated; takes noise off images."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem = Conv2d(3, width, 3, padding=1)
        self.down = Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.middle = Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = Conv2d(3 * width, width, 3, padding=1)
        self.norm_1 = nn.GroupNorm(8, 2 * width)
        self.norm_2 = nn.GroupNorm(8, width)
        self.head = Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the same."""
        skip = F.silu(self.stem(x))
        deep = F.silu(self.middle(F.silu(self.norm_1(self.down(skip)))))
        deep = F.interpolate(deep, scale_factor=2.0)
        image: Tensor = self.head(F.silu(self.norm_2(self.up(torch.cat([deep, skip], 1)))))
        return image


class CrossAttention(nn.Module):
    """Queries from one sequence, keys and values from another."""

    scale = HEAD_DIM**-0.5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.kv = Linear(width, width), Linear(width, 2 * width)
        self.out = Linear(width, width)

    def forward(self, x_BTD: Tensor, memory_BSD: Tensor) -> Tensor:
        """The shape of the first."""
        q = self.q(x_BTD).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)
        k, v = self.kv(memory_BSD).unflatten(-1, (2, -1, HEAD_DIM)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        y: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y


class EncoderDecoder(nn.Module):
    """One layer that encodes the sequence, and one that attends to what it encoded."""

    branch = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.source, self.target = (Embedding(VOCABULARY, width) for _ in range(2))
        self.norm_1, self.norm_2, self.norm_3, self.norm = (LayerNorm(width) for _ in range(4))
        self.encoder, self.cross = CrossAttention(width), CrossAttention(width)
        self.up, self.down = Linear(width, 2 * width), Linear(2 * width, width)
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        memory = self.source(tokens)
        memory = memory + self.branch * self.encoder(self.norm_1(memory), self.norm_1(memory))
        x = self.target(tokens)
        x = x + self.branch * self.cross(self.norm_2(x), memory)
        x = x + self.branch * self.down(F.gelu(self.up(self.norm_3(x))))
        logits: Tensor = self.head(self.norm(x))
        return logits


class ReZero(nn.Module):
    """No norms: each branch starts at a tenth and learns its own scalar gain."""

    branch = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = Embedding(VOCABULARY, width)
        self.up = nn.ModuleList(Linear(width, width) for _ in range(3))
        self.down = nn.ModuleList(Linear(width, width) for _ in range(3))
        self.gains = nn.ParameterList(torch.full((), 0.1) for _ in range(3))
        self.head = Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        x = self.embedding(tokens)
        for up, down, gain in zip(self.up, self.down, self.gains, strict=True):
            x = x + self.branch * gain * down(F.relu(up(x)))
        logits: Tensor = self.head(x)
        return logits


class Regression(nn.Module):
    """tanh with a skip, three outputs, squared error."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first, self.second = Linear(FEATURES, width), Linear(width, width)
        self.third, self.head = Linear(width, width), Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, FEATURES) to (B, 3)."""
        x = torch.tanh(self.first(x))
        x = x + torch.tanh(self.third(torch.tanh(self.second(x))))
        y: Tensor = self.head(x)
        return y


class Bare(nn.Module):
    """No layers at all: parameters and products."""

    output_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.table = nn.Parameter(torch.empty(VOCABULARY, width))
        self.mix = nn.Parameter(torch.empty(width, width))
        self.expand = nn.Parameter(torch.empty(width, 2 * width))
        self.contract = nn.Parameter(torch.empty(2 * width, width))
        self.readout = nn.Parameter(torch.empty(width, VOCABULARY))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens to (B, T, V) logits."""
        x = self.table[tokens]
        x = x + F.rms_norm(x.cumsum(1), x.shape[-1:]) @ self.mix
        x = x + F.silu(F.rms_norm(x, x.shape[-1:]) @ self.expand) @ self.contract
        return F.rms_norm(x, x.shape[-1:]) @ self.readout * self.output_multiplier


SMALL_HEAD = {"head": 0.25}
GRU_FAMILY = Family(name="gru", network=GRU, sizes=SMALL_HEAD, layout={"gru.weight_*": (0, (1,))})
STATE_SPACE = Family(name="state-space", network=StateSpace, sizes=SMALL_HEAD)
MIXER = Family(
    name="mixer",
    network=Mixer,
    loss=classification_loss,
    batches=labelled_images,
    sizes=SMALL_HEAD,
    expected={"mix_down.bias": (-9.0, 9.0), "mix_*": (-1.2, 0.25)},
    why="a mixing matrix's gradient is a sum over channels that are not aligned at init: n^-½ too "
    "small, as of keys in growing heads; what mix_down's bias adds the norms take away again",
)
UNET = Family(
    name="unet",
    network=UNet,
    loss=squared_error,
    batches=noisy_images,
    widths=(32, 64, 128),
    base=32,
    sizes=SMALL_HEAD,
    rates={"sgd": 0.05, "momentum": 0.05},
    expected={"down": (-0.35, 0.35), "middle*": (-0.5, 0.5), "down.bias": (-0.5, 0.5)},
    why="32 channels are few: gradients of the deep level settle from 64 on",
)
ENCODER_DECODER = Family(name="encoder-decoder", network=EncoderDecoder, sizes=SMALL_HEAD)
REZERO = Family(
    name="rezero",
    network=ReZero,
    sizes=SMALL_HEAD,
    expected={"gains.*": (-3.5, 3.5)},
    why="a scalar's first gradient is one sum over channels that are not aligned at init: n^-½ too "
    "small, and a single random number, whose logarithm has hardly a slope",
)
REGRESSION = Family(
    name="regression",
    network=Regression,
    loss=squared_error,
    batches=functions,
    widths=(128, 256, 512, 1024),
    sizes=SMALL_HEAD,
)
BARE = Family(
    name="bare",
    network=Bare,
    sizes={"table": 16.0, "readout": 0.25},
    layout={"*": (1, (0,))},
    places={"readout": ("", "output_multiplier")},
)
FAMILIES = (GRU_FAMILY, STATE_SPACE, MIXER, UNET, ENCODER_DECODER, REZERO, REGRESSION, BARE)
