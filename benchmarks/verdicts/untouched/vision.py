"""Models of images: bottlenecks, depthwise kernels, patches, latents, transposed convolutions."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import CLASSES, PIXELS, labelled_images, noisy_images
from benchmarks.verdicts.layers import Conv2d, LayerNorm, Linear, RMSNorm
from benchmarks.verdicts.recipe import Family, classification_loss, squared_error
from benchmarks.verdicts.untouched.layers import (
    FFN,
    HEAD_DIM,
    Residual,
    SelfAttention,
    attend,
    heads,
)

SMALL_HEAD = {"head": 0.25}


class Bottleneck(nn.Module):
    """1×1 down, 3×3 perhaps strided, 1×1 up; a projection where the shape changes."""

    branch = 1.0

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        thin = out // 4
        self.reduce = Conv2d(into, thin, 1, bias=False)
        self.conv = Conv2d(thin, thin, 3, stride=stride, padding=1, bias=False)
        self.expand = Conv2d(thin, out, 1, bias=False)
        self.norm_1, self.norm_2 = nn.BatchNorm2d(thin), nn.BatchNorm2d(thin)
        self.norm_3 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module | None = None
        if into != out or stride != 1:
            self.shortcut = Conv2d(into, out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) to (B, out, H / stride, W / stride)."""
        y = F.relu(self.norm_1(self.reduce(x)))
        y = F.relu(self.norm_2(self.conv(y)))
        y = self.norm_3(self.expand(y))
        skip = x if self.shortcut is None else self.shortcut(x)
        return F.relu(skip + self.branch * y)


class ResNet(nn.Module):
    """(B, 3, H, W) to (B, CLASSES): a stem and three bottlenecks, two of them strided."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem = Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            Bottleneck(width, 2 * width, 2),
            Bottleneck(2 * width, 2 * width, 1),
            Bottleneck(2 * width, 4 * width, 2),
        )
        self.head = Linear(4 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        logits: Tensor = self.head(x.mean((2, 3)) * self.input_multiplier)
        return logits


class ConvNeXtBlock(nn.Module):
    """A kernel for each channel, a norm over channels, an FFN, a learned scale a channel."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = LayerNorm(width)
        self.ffn = FFN(width, bias=True)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.ffn(y)
        result: Tensor = x + self.branch * y.permute(0, 3, 1, 2)
        return result


class ConvNeXt(nn.Module):
    """(B, 3, H, W) to (B, CLASSES)."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem = Conv2d(3, width, 2, stride=2)
        self.blocks = nn.Sequential(ConvNeXtBlock(width), ConvNeXtBlock(width))
        self.norm = LayerNorm(width)
        self.head = Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        pooled = self.norm(self.blocks(self.stem(x)).mean((2, 3)))
        logits: Tensor = self.head(pooled * self.input_multiplier)
        return logits


class ViT(nn.Module):
    """(B, 3, H, W) to (B, CLASSES): patches, a class token, learned positions."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.patches = Conv2d(3, width, 4, stride=4)
        count = (PIXELS // 4) ** 2 + 1
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, count, width))
        attention = partial(SelfAttention, bias=True, causal=False)
        ffn = partial(FFN, bias=True)
        self.blocks = nn.Sequential(
            *(Residual(width, attention, ffn=ffn, norm=LayerNorm) for _ in range(2))
        )
        self.norm = LayerNorm(width)
        self.head = Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x_BTD = self.patches(x).flatten(2).mT
        first = self.class_token.expand(len(x), -1, -1)
        x_BTD = torch.cat([first, x_BTD], 1) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(x_BTD)[:, 0]) * self.input_multiplier)
        return logits


class Perceiver(nn.Module):
    """(B, 3, H, W) to (B, CLASSES): eight learned latents read the pixels, then one another."""

    branch = input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.scale = width, HEAD_DIM**-0.5
        self.latents = nn.Parameter(torch.empty(8, width))
        self.q = Linear(width, width, bias=False)
        self.k, self.v = (Linear(3 * 4 + PIXELS, width, bias=False) for _ in range(2))
        self.out = Linear(width, width, bias=False)
        self.norm_1, self.norm = RMSNorm(width), RMSNorm(width)
        self.block = Residual(width, partial(SelfAttention, causal=False))
        self.head = Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        patches = F.unfold(x, 2, stride=2).mT  # (B, 16, 12)
        places = torch.eye(PIXELS // 2) * 2
        across = places.repeat(PIXELS // 2, 1)
        down = places.repeat_interleave(PIXELS // 2, 0)
        pixels = torch.cat(
            [patches, across.expand(len(x), -1, -1), down.expand(len(x), -1, -1)], -1
        )
        latents = self.latents.expand(len(x), -1, -1)
        q = heads(self.q(self.norm_1(latents)))
        k, v = heads(self.k(pixels)), heads(self.v(pixels))
        read = self.out(attend(q, k, v, scale=self.scale, causal=False))
        read = self.block(latents + self.branch * read)
        logits: Tensor = self.head(self.norm(read).mean(1) * self.input_multiplier)
        return logits


class Transposed(nn.Module):
    """Takes noise off images: a strided convolution down, a transposed one up again."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem = Conv2d(3, width, 3, padding=1)
        self.down = Conv2d(width, width, 2, stride=2)
        self.norm_1 = nn.GroupNorm(8, width)
        self.up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.norm_2 = nn.GroupNorm(8, width)
        self.head = Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the same."""
        x = F.silu(self.stem(x))
        deep = F.silu(self.norm_1(self.down(x)))
        image: Tensor = self.head(F.silu(self.norm_2(x + self.up(deep))))
        return image


_images = partial(Family, loss=classification_loss, batches=labelled_images)
RESNET = _images(
    name="resnet",
    network=ResNet,
    widths=(64, 128, 256),
    base=64,
    sizes=SMALL_HEAD,
    rates={"sgd": 0.25, "momentum": 0.25},
)
CONVNEXT = _images(
    name="convnext", network=ConvNeXt, widths=(64, 128, 256), base=64, sizes=SMALL_HEAD
)
VIT = _images(
    name="vit",
    network=ViT,
    sizes={**SMALL_HEAD, "positions": 5**0.5},
    layout={"class_token": (2, (0, 1)), "positions": (2, (0, 1))},
    rates={"sgd": 0.1, "momentum": 0.1},
    expected={"*.k.bias": (-9.0, 9.0)},
    why="softmax takes a key's bias away again: its gradient is rounding error",
)
PERCEIVER = _images(
    name="perceiver",
    network=Perceiver,
    sizes={**SMALL_HEAD, "latents": 8**0.5},
    layout={"latents": (1, (0,))},
)
TRANSPOSED = Family(
    name="transposed",
    network=Transposed,
    loss=squared_error,
    batches=noisy_images,
    sizes={"up": 2.0, "head": 0.1},
    layout={"up": (1, (0, 2, 3))},
    rates={"sgd": 0.1, "momentum": 0.1},
)
