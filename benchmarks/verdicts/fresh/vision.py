"""Models of images: MobileNet, a detector of one stage."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.data import CLASSES, labelled_images
from benchmarks.verdicts.fresh.data import scenes
from benchmarks.verdicts.layers import Conv2d, Linear
from benchmarks.verdicts.recipe import Family, classification_loss


class InvertedResidual(nn.Module):
    """1×1 up, a kernel a channel, gates from the mean of each channel, 1×1 down."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 2 * width
        self.expand, self.bn_1 = Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.depthwise = Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        self.bn_2 = nn.BatchNorm2d(wide)
        self.squeeze, self.excite = Conv2d(wide, width // 2, 1), Conv2d(width // 2, wide, 1)
        self.project, self.bn_3 = Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y = F.hardswish(self.bn_1(self.expand(x)))
        y = F.hardswish(self.bn_2(self.depthwise(y)))
        gate = self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True))))
        y = self.bn_3(self.project(y * F.hardsigmoid(gate)))
        result: Tensor = x + self.branch * y
        return result


class MobileNet(nn.Module):
    """(B, 3, H, W) to (B, CLASSES)."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem, self.bn = Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(InvertedResidual(width), InvertedResidual(width))
        self.last = Linear(width, 2 * width)
        self.classifier = Linear(2 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.blocks(F.hardswish(self.bn(self.stem(x)))).mean((2, 3))
        logits: Tensor = self.classifier(F.hardswish(self.last(x)) * self.input_multiplier)
        return logits


class Detector(nn.Module):
    """(B, 3, H, W) to a class and a box in each of H/2 × W/2 cells, coarse features added."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.stem, self.norm_0 = Conv2d(3, width, 3, padding=1), nn.GroupNorm(8, width)
        self.down_1 = Conv2d(width, width, 3, stride=2, padding=1)
        self.down_2 = Conv2d(width, width, 3, stride=2, padding=1)
        self.norm_1, self.norm_2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.lateral, self.top = Conv2d(width, width, 1), Conv2d(width, width, 1)
        self.class_tower, self.box_tower = (Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.class_head, self.box_head = Conv2d(width, 5, 1), Conv2d(width, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds (B, 5, H/2, W/2) and boxes (B, 4, H/2, W/2)."""
        x = F.relu(self.norm_0(self.stem(x)))
        fine = F.relu(self.norm_1(self.down_1(x)))
        coarse = F.relu(self.norm_2(self.down_2(fine)))
        x = self.lateral(fine) + F.interpolate(self.top(coarse), scale_factor=2.0)
        odds = self.class_head(F.relu(self.class_tower(x)))
        boxes: Tensor = self.box_head(F.relu(self.box_tower(x)))
        return odds, boxes


def detection_loss(model: Detector, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Focal loss of the classes, and smooth L1 of the boxes of objects, both a cell's mean."""
    image, classes, boxes = batch
    odds, predicted = model(image)
    target = F.one_hot(classes, 6)[..., 1:].permute(0, 3, 1, 2).float()
    entropy = F.binary_cross_entropy_with_logits(odds, target, reduction="none")
    focal = (1 - torch.exp(-entropy)).square() * entropy
    there = classes > 0
    error = F.smooth_l1_loss(predicted.permute(0, 2, 3, 1)[there], boxes[there])
    return focal.sum(1).mean() + error


MOBILENET = Family(
    name="mobilenet",
    network=MobileNet,
    loss=classification_loss,
    batches=labelled_images,
    widths=(64, 128, 256),
    base=64,
    sizes={"classifier": 0.25},
)
DETECTOR = Family(
    name="detector",
    network=Detector,
    loss=detection_loss,
    batches=scenes,
    widths=(64, 128, 256),
    base=64,
    sizes={"*_head": 0.1},
    rates={"sgd": 0.25, "momentum": 0.1},
)
