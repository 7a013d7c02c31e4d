"""Models of images and waves of bytes: Swin, DETR, PixelCNN, a convolutional autoencoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import CLASSES, labelled_images
from benchmarks.verdicts.last.data import (
    CORNERS,
    LEVELS,
    cornered_images,
    corrupted_bytes,
    grey_images,
)
from benchmarks.verdicts.layers import Conv2d, Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family, classification_loss
from benchmarks.verdicts.sequence_layers import HEAD_DIM, SMALL_HEAD, Conv1d, heads


def windows(x: Tensor) -> Tensor:
    """(B, H, W, D) to (B·HW/4, 4, D): squares of two by two."""
    B, H, W, D = x.shape
    return x.view(B, H // 2, 2, W // 2, 2, D).transpose(2, 3).reshape(-1, 4, D)


def together(x: Tensor, side: int) -> Tensor:
    """Back again."""
    half, D = side // 2, x.shape[-1]
    return x.view(-1, half, half, 2, 2, D).transpose(2, 3).reshape(-1, side, side, D)


class SwinBlock(nn.Module):
    """Pre-norm attention within windows, shifted or not, with a bias a distance; then an MLP."""

    branch = 1.0
    distance: Tensor

    def __init__(self, width: int, *, shift: int) -> None:
        super().__init__()
        self.scale, self.shift = HEAD_DIM**-0.5, shift
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        self.qkv, self.proj = Linear(width, 3 * width), Linear(width, width)
        self.relative_position_bias = nn.Parameter(torch.zeros(width // HEAD_DIM, 9))
        self.fc1, self.fc2 = Linear(width, 2 * width), Linear(2 * width, width)
        place = torch.stack([torch.arange(4) // 2, torch.arange(4) % 2], -1)
        apart = place[:, None] - place + 1
        self.register_buffer("distance", apart[..., 0] * 3 + apart[..., 1])

    def attend(self, x: Tensor) -> Tensor:
        """(N, 4, D) windows to the same."""
        q, k, v = (heads(part) for part in self.qkv(x).chunk(3, -1))
        logits = q @ k.mT * self.scale + self.relative_position_bias[:, self.distance]
        y: Tensor = self.proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return y

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, H, D) to the same."""
        y = self.norm1(x).roll((-self.shift, -self.shift), (1, 2))
        y = together(self.attend(windows(y)), x.shape[1])
        x = x + self.branch * y.roll((self.shift, self.shift), (1, 2))
        result: Tensor = x + self.branch * self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return result


class Swin(nn.Module):
    """(B, 3, 8, 8) images to logits: patches of two, a stage, patches merged, a wider stage."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.patch_embed, self.patch_norm = Conv2d(3, width, 2, stride=2), LayerNorm(width)
        self.stage1 = nn.Sequential(SwinBlock(width, shift=0), SwinBlock(width, shift=1))
        self.merge_norm = LayerNorm(4 * width)
        self.reduction = Linear(4 * width, 2 * width, bias=False)
        self.stage2 = SwinBlock(2 * width, shift=0)
        self.norm, self.head = LayerNorm(2 * width), Linear(2 * width, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        x = self.stage1(self.patch_norm(self.patch_embed(image).permute(0, 2, 3, 1)))
        merged = windows(x).flatten(1).view(len(x), 2, 2, -1)
        x = self.stage2(self.reduction(self.merge_norm(merged)))
        logits: Tensor = self.head(self.norm(x).mean((1, 2)) * self.input_multiplier)
        return logits


class Detr(nn.Module):
    """A convolutional stem; four learned queries attend to its pixels and name what they find."""

    branch = input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.body = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.body_norm, self.memory_norm = nn.GroupNorm(8, width), nn.LayerNorm(width)
        self.row, self.column = (nn.Parameter(torch.empty(2, width)) for _ in range(2))
        self.queries = nn.Embedding(CORNERS, width)
        count = width // HEAD_DIM
        self.self_attention, self.cross_attention = (
            nn.MultiheadAttention(width, count, batch_first=True) for _ in range(2)
        )
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(width) for _ in range(3))
        self.linear_1, self.linear_2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.class_embed = Linear(width, CORNERS + 3)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, 8, 8) to (B, 4, 7) logits."""
        features = F.relu(self.body_norm(self.body(F.relu(self.stem(image)))))
        place = (self.row[:, None] + self.column).flatten(0, 1)
        memory = self.memory_norm(features.flatten(2).mT) + place
        x = self.queries.weight.expand(len(image), -1, -1)
        x = self.norm_1(x + self.branch * self.self_attention(x, x, x, need_weights=False)[0])
        seen = self.cross_attention(x, memory, memory, need_weights=False)[0]
        x = self.norm_2(x + self.branch * seen)
        y = self.linear_2(F.relu(self.linear_1(x)))
        x = self.norm_3(x + self.branch * y)
        logits: Tensor = self.class_embed(x * self.input_multiplier)
        return logits


def corner_loss(model: Detr, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of what is in each corner."""
    image, kind = batch
    return F.cross_entropy((model(image) * model.loss_multiplier).flatten(0, 1), kind.flatten())


class MaskedConv2d(Conv2d):
    """A convolution that sees only the pixels before, and its own from the second layer on."""

    seen: Tensor

    def __init__(self, into: int, out: int, size: int, *, own: bool) -> None:
        super().__init__(into, out, size, padding=size // 2)
        seen = torch.zeros(size, size)
        seen[: size // 2] = 1
        seen[size // 2, : size // 2 + own] = 1
        self.register_buffer("seen", seen)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H, W)."""
        assert self.bias is not None
        y = self._conv_forward(x, self.weight * self.seen, None) * self.multiplier
        result: Tensor = y + self.bias[:, None, None]
        return result


class GatedPixels(nn.Module):
    """A masked kernel, a gate, 1×1, added."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.masked = MaskedConv2d(width, 2 * width, 3, own=True)
        self.mix = Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        value, gate = self.masked(x).chunk(2, 1)
        result: Tensor = x + self.branch * self.mix(value.tanh() * gate.sigmoid())
        return result


class PixelCNN(nn.Module):
    """(B, H, W) greys to (B, LEVELS, H, W) logits of each from those before."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = MaskedConv2d(1, width, 5, own=False)
        self.layers = nn.Sequential(GatedPixels(width), GatedPixels(width))
        self.last, self.logits = Conv2d(width, width, 1), Conv2d(width, LEVELS, 1)

    def forward(self, grey: Tensor) -> Tensor:
        """Logits."""
        x = self.layers(self.first(grey.unsqueeze(1) / 2 - 2))
        logits: Tensor = self.logits(F.elu(self.last(x)) * self.input_multiplier)
        return logits


def grey_loss(model: PixelCNN, batch: tuple[Tensor]) -> Tensor:
    """Mean cross-entropy of every pixel."""
    return F.cross_entropy(model(batch[0]) * model.loss_multiplier, batch[0])


class ByteAutoencoder(nn.Module):
    """(B, T) bytes with errors through strided kernels to a quarter of T, and back to logits."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.bytes = Embedding(256, width)
        self.down_1 = Conv1d(width, width, 4, stride=2, padding=1)
        self.down_2 = Conv1d(width, 2 * width, 4, stride=2, padding=1)
        self.inner = Conv1d(2 * width, 2 * width, 1)
        self.up_2 = Conv1d(2 * width, width, 3, padding=1)
        self.up_1 = Conv1d(width, width, 3, padding=1)
        self.head = Conv1d(width, 256, 1)

    def forward(self, given: Tensor) -> Tensor:
        """(B, 256, T) logits."""
        x = F.relu(self.down_2(F.relu(self.down_1(self.bytes(given).mT))))
        x = x + F.relu(self.inner(x))
        x = F.relu(self.up_2(x.repeat_interleave(2, -1)))
        x = F.relu(self.up_1(x.repeat_interleave(2, -1)))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


def byte_loss(model: ByteAutoencoder, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of every byte."""
    given, clean = batch
    return F.cross_entropy(model(given) * model.loss_multiplier, clean)


CONV_WIDTHS = (64, 128, 256)
SWIN = Family(
    name="swin",
    network=Swin,
    loss=classification_loss,
    batches=labelled_images,
    widths=CONV_WIDTHS,
    base=64,
    sizes=SMALL_HEAD,
    layout={"*.relative_position_bias": (0, ())},
    rates={"momentum": 0.25},
)
DETR = Family(
    name="detr",
    network=Detr,
    loss=corner_loss,
    batches=cornered_images,
    widths=CONV_WIDTHS,
    base=64,
    sizes={"class_embed": 0.25},
    rates={"sgd": 0.5},
    layout={"*.in_proj_weight": (0, (1,)), "row": (1, (0,)), "column": (1, (0,))},
)
PIXEL_CNN = Family(
    name="pixel-cnn",
    network=PixelCNN,
    loss=grey_loss,
    batches=grey_images,
    widths=CONV_WIDTHS,
    base=64,
    sizes={"logits": 0.1, "first": 1.4, "*.masked": 1.4},
)
BYTE_AUTOENCODER = Family(
    name="byte-autoencoder",
    network=ByteAutoencoder,
    loss=byte_loss,
    batches=corrupted_bytes,
    widths=CONV_WIDTHS,
    base=64,
    sizes={**SMALL_HEAD, "down_*": 2**0.5, "up_*": 2**0.5, "inner": 2**0.5},
)
