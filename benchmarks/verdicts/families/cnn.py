"""A small residual convolutional classifier, with BatchNorm or with GroupNorm."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import CLASSES, labelled_images
from benchmarks.verdicts.layers import Conv2d, Linear
from benchmarks.verdicts.recipe import Family, classification_loss

GROUPS = 8


class CNN(nn.Module):
    """(B, 3, H, W) to (B, CLASSES); width is the number of channels."""

    branch = input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.width = width
        self.stem = Conv2d(3, width, 3, padding=1)
        self.norm_1 = nn.BatchNorm2d(width) if batch_norm else nn.GroupNorm(GROUPS, width)
        self.down = Conv2d(width, width, 3, stride=2, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(width) if batch_norm else nn.GroupNorm(GROUPS, width)
        self.conv = Conv2d(width, width, 3, padding=1, bias=False)
        self.norm_3 = nn.BatchNorm2d(width) if batch_norm else nn.GroupNorm(GROUPS, width)
        self.head = Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.norm_1(self.stem(x)))
        x = F.relu(self.norm_2(self.down(x)))
        x = x + self.branch * F.relu(self.norm_3(self.conv(x)))
        logits: Tensor = self.head(x.mean((2, 3)) * self.input_multiplier)
        return logits


_cnn = partial(
    Family,
    loss=classification_loss,
    batches=labelled_images,
    widths=(64, 128, 256),
    base=64,
    sizes={"head": 0.25},
)
BATCH_NORM = _cnn(
    name="cnn-bn",
    network=partial(CNN, batch_norm=True),
    expected={"stem.bias": (-9.0, 9.0)},
    why="BatchNorm takes the stem's bias away again: its gradient is rounding error",
)
GROUP_NORM = _cnn(name="cnn-gn", network=partial(CNN, batch_norm=False))
