"""Models of sound and of time series: Conformer with CTC, a wave encoder, PatchTST."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.fresh.data import recordings, series, spectrograms
from benchmarks.verdicts.layers import LayerNorm, Linear
from benchmarks.verdicts.recipe import Family, classification_loss
from benchmarks.verdicts.sequence_layers import SMALL_HEAD, Attention, Conv1d


class FeedForward(nn.Module):
    """A norm, up, SiLU, down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.expand, self.contract = Linear(width, 2 * width), Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y: Tensor = self.contract(F.silu(self.expand(self.norm(x))))
        return y


class ConvolutionModule(nn.Module):
    """A norm, a gated layer, a kernel a channel, a norm, SiLU, a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.norm_2 = LayerNorm(width), LayerNorm(width)
        self.pointwise_1 = Conv1d(width, 2 * width, 1)
        self.depthwise = Conv1d(width, width, 5, padding=2, groups=width)
        self.pointwise_2 = Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to the same."""
        y = F.glu(self.pointwise_1(self.norm(x).mT), dim=1)
        y = F.silu(self.norm_2(self.depthwise(y).mT)).mT
        mixed: Tensor = self.pointwise_2(y)
        return mixed.mT


class Conformer(nn.Module):
    """(B, T, 16) frames to (B, T / 4, 12) logits: two strided kernels, then one block."""

    branch = input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.subsample_1 = Conv1d(16, width, 3, stride=2, padding=1)
        self.subsample_2 = Conv1d(width, width, 3, stride=2, padding=1)
        self.ffn_1, self.ffn_2 = FeedForward(width), FeedForward(width)
        self.attention_norm, self.attention = LayerNorm(width), Attention(width)
        self.convolution, self.norm = ConvolutionModule(width), LayerNorm(width)
        self.head = Linear(width, 12)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.subsample_1(frames.mT))
        x = F.relu(self.subsample_2(x)).mT
        x = x + self.branch * self.ffn_1(x) / 2
        x = x + self.branch * self.attention(self.attention_norm(x))
        x = x + self.branch * self.convolution(x)
        x = x + self.branch * self.ffn_2(x) / 2
        logits: Tensor = self.head(self.norm(x) * self.input_multiplier)
        return logits


def ctc_loss(model: Conformer, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Connectionist temporal classification, mean over sequences and labels."""
    frames, labels = batch
    logits = model(frames) * model.loss_multiplier
    steps, count = (torch.full((len(frames),), x.shape[1]) for x in (logits, labels))
    return F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), labels, steps, count)


class WaveEncoder(nn.Module):
    """(B, 1, T) waves to (B, 10): four strided kernels, group norms, the mean over time."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.conv_0 = Conv1d(1, width, 10, stride=5, bias=False)
        self.conv_1 = Conv1d(width, width, 3, stride=2, bias=False)
        self.conv_2 = Conv1d(width, width, 3, stride=2, bias=False)
        self.norm_0, self.norm_1, self.norm_2 = (nn.GroupNorm(4, width) for _ in range(3))
        self.projection = Linear(width, width)
        self.head = Linear(width, 10)

    def forward(self, wave: Tensor) -> Tensor:
        """Logits."""
        x = F.gelu(self.norm_0(self.conv_0(wave)))
        x = F.gelu(self.norm_1(self.conv_1(x)))
        x = F.gelu(self.norm_2(self.conv_2(x)))
        x = torch.tanh(self.projection(x.mean(-1)))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


class PatchTST(nn.Module):
    """(B, T) values to the (B, 12) that follow: patches of 8, each series in its own units."""

    branch = output_multiplier = loss_multiplier = 1.0
    PATCH = 8

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.value_embedding = Linear(self.PATCH, width, bias=False)
        self.positions = nn.Parameter(torch.zeros(6, width))
        self.attention, self.norm_1 = Attention(width), LayerNorm(width)
        self.ff_1, self.ff_2 = Linear(width, 2 * width), Linear(2 * width, width)
        self.norm_2 = LayerNorm(width)
        self.head = Linear(6 * width, 12)

    def forward(self, values: Tensor) -> Tensor:
        """The forecast."""
        mean, std = values.mean(-1, keepdim=True), values.std(-1, keepdim=True) + 1e-5
        x = self.value_embedding(((values - mean) / std).unfold(-1, self.PATCH, self.PATCH))
        x = x + self.positions
        x = self.norm_1(x + self.branch * self.attention(x))
        x = self.norm_2(x + self.branch * self.ff_2(F.gelu(self.ff_1(x))))
        forecast: Tensor = self.head(x.flatten(1)) * self.output_multiplier
        return forecast * std + mean


def forecast_loss(model: PatchTST, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Huber's."""
    values, following = batch
    return F.huber_loss(model(values), following)


KEY_BIAS = {"*.key.bias": (-9.0, 9.0), "key.bias": (-9.0, 9.0)}
WHY_KEY_BIAS = "softmax takes a key's bias away again: its gradient is rounding error"
CONFORMER = Family(
    name="conformer",
    network=Conformer,
    loss=ctc_loss,
    batches=spectrograms,
    widths=(64, 128, 256),
    base=64,
    sizes={"head": 0.1},
    rates={"adam": 0.25, "adamw": 0.25, "own-adamw": 0.25, "muon": 0.25},
    expected=KEY_BIAS,
    why=WHY_KEY_BIAS,
)
WAVE_ENCODER = Family(
    name="wave-encoder",
    network=WaveEncoder,
    loss=classification_loss,
    batches=recordings,
    widths=(64, 128, 256, 512),
    base=64,
    sizes=SMALL_HEAD,
)
PATCH_TST = Family(
    name="patch-tst",
    network=PatchTST,
    loss=forecast_loss,
    batches=series,
    widths=(64, 128, 256, 512),
    base=64,
    sizes={**SMALL_HEAD, "positions": 6**0.5},
    layout={"positions": (1, (0,))},
    expected=KEY_BIAS,
    why=WHY_KEY_BIAS,
)
