"""Models of voices, clicks, games and views: a speaker's, gates for tasks, duelling Q, SimSiam."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.last.data import augmented, replayed, utterances, visits
from benchmarks.verdicts.layers import Linear
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.sequence_layers import Conv1d


class CosineHead(nn.Linear):
    """Cosines with a weight of each class."""

    multiplier = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) to (B, classes)."""
        return F.linear(F.normalize(x, dim=-1), F.normalize(self.weight * self.multiplier, dim=-1))


class Speaker(nn.Module):
    """(B, 16, T) frames to cosines with each voice, by the mean and spread over time."""

    scale = 8.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.frame_1, self.frame_2 = Conv1d(16, width, 5), Conv1d(width, width, 3, dilation=2)
        self.frame_3 = Conv1d(width, width, 1)
        self.norm_1, self.norm_2 = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.segment, self.embedding = Linear(2 * width, width), Linear(width, width, bias=False)
        self.voices = CosineHead(width, 12, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Cosines."""
        x = self.norm_1(F.relu(self.frame_1(frames)))
        x = F.relu(self.frame_3(self.norm_2(F.relu(self.frame_2(x)))))
        spread = (x.var(-1) + 1e-4).sqrt()
        x = F.relu(self.segment(torch.cat([x.mean(-1), spread], -1)))
        cosines: Tensor = self.voices(self.embedding(x))
        return cosines


def margin_loss(model: Speaker, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Additive-margin softmax of the voices."""
    frames, voice = batch
    cosines = model(frames) - 0.2 * F.one_hot(voice, 12)
    return F.cross_entropy(model.scale * cosines, voice)


class MultiGate(nn.Module):
    """Three experts; a gate for each task mixes them for its tower: clicks and how long."""

    EXPERTS = 3

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.experts_in = nn.ModuleList(Linear(24, width) for _ in range(self.EXPERTS))
        self.experts_out = nn.ModuleList(Linear(width, width) for _ in range(self.EXPERTS))
        self.click_gate, self.time_gate = (
            nn.Linear(24, self.EXPERTS, bias=False) for _ in range(2)
        )
        self.click_tower, self.time_tower = Linear(width, width), Linear(width, width)
        self.click_head, self.time_head = Linear(width, 1), Linear(width, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 24) to (N,) log-odds of a click and (N,) times."""
        pairs = zip(self.experts_in, self.experts_out, strict=True)
        x = torch.stack([torch.tanh(out(torch.tanh(into(features)))) for into, out in pairs], 1)
        click, time = (
            (gate(features).softmax(-1).unsqueeze(-1) * x).sum(1) * 2
            for gate in (self.click_gate, self.time_gate)
        )
        odds = self.click_head(torch.tanh(self.click_tower(click)))
        lasted = self.time_head(torch.tanh(self.time_tower(time)))
        return odds.squeeze(-1), lasted.squeeze(-1)


def tasks_loss(model: MultiGate, batch: dict[str, Tensor]) -> Tensor:
    """Binary cross-entropy of clicks and the pinball losses of the median and the ninth tenth."""
    odds, time = model(batch["features"])
    lacking = batch["time"] - time
    pinball = torch.maximum(0.7 * lacking, -0.3 * lacking).mean()
    return F.binary_cross_entropy_with_logits(odds, batch["click"]) + 2 * pinball


class QNetwork(nn.Module):
    """(N, 16) states to (N, 4) values: that of the state, and what each action is better by."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.feature_1, self.feature_2 = Linear(16, width), Linear(width, width)
        self.value_1, self.value_2 = Linear(width, width), Linear(width, 1)
        self.advantage_1, self.advantage_2 = Linear(width, width), Linear(width, 4)

    def forward(self, state: Tensor) -> Tensor:
        """Values."""
        x = F.relu(self.feature_2(F.relu(self.feature_1(state))))
        better = self.advantage_2(F.relu(self.advantage_1(x)))
        value = self.value_2(F.relu(self.value_1(x)))
        result: Tensor = value + better - better.mean(-1, keepdim=True)
        return result


class Duelling(nn.Module):
    """A network that learns and a frozen one, of another init, that says what will follow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.online, self.target = QNetwork(width), QNetwork(width)


def bellman_loss(model: Duelling, batch: dict[str, Tensor]) -> Tensor:
    """Huber's of what the values lack of reward and the best that follows, chosen online."""
    values = model.online(batch["state"]).gather(1, batch["action"].unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        best = model.online(batch["next"]).argmax(-1, keepdim=True)
        after = model.target(batch["next"]).gather(1, best).squeeze(-1)
    return F.smooth_l1_loss(values, batch["reward"] + 0.9 * after)


class SimSiam(nn.Module):
    """Two views: what a predictor makes of one is to point where the other, held still, does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.encoder_1, self.encoder_2 = Linear(24, width), Linear(width, width)
        self.projector_1, self.bn_1 = Linear(width, width, bias=False), nn.BatchNorm1d(width)
        self.projector_2 = Linear(width, width, bias=False)
        self.predictor_1, self.predictor_2 = Linear(width, width // 2), Linear(width // 2, width)

    def project(self, view: Tensor) -> Tensor:
        """(N, 24) to (N, D)."""
        x = F.relu(self.encoder_2(F.relu(self.encoder_1(view))))
        y: Tensor = self.projector_2(F.relu(self.bn_1(self.projector_1(x))))
        return y

    def predict(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y: Tensor = self.predictor_2(F.relu(self.predictor_1(x)))
        return y


def siamese_loss(model: SimSiam, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Minus the mean cosine of either prediction with the other view."""
    first, second = (model.project(view) for view in batch)
    ahead = F.cosine_similarity(model.predict(first), second.detach(), dim=-1)
    back = F.cosine_similarity(model.predict(second), first.detach(), dim=-1)
    result: Tensor = -(ahead.mean() + back.mean()) / 2
    return result


WIDTHS = (64, 128, 256, 512)
_RELU = 2**0.5
SPEAKER = Family(
    name="speaker",
    network=Speaker,
    loss=margin_loss,
    batches=utterances,
    widths=(64, 128, 256),
    base=64,
    sizes={"frame_?": _RELU, "segment": _RELU},
    rates={"momentum": 0.1},
)
MULTI_GATE = Family(
    name="multi-gate",
    network=MultiGate,
    loss=tasks_loss,
    batches=visits,
    widths=WIDTHS,
    base=64,
    sizes={"*_head": 0.25},
    expected={"*_gate": (-1.4, 0.3)},
    why="what comes back to a gate is a sum over the width of experts' outputs that is not aligned "
    "at init: n^-½ too small, twice under SGD",
)
DUELLING = Family(
    name="duelling-q",
    network=Duelling,
    loss=bellman_loss,
    batches=replayed,
    widths=WIDTHS,
    base=64,
    sizes={"*.value_2": 0.25, "*.advantage_2": 0.25, "*": _RELU},
    frozen=("target.*",),
    rates={"sgd": 0.5, "momentum": 0.1},
    expected={"online.*_2.bias": (-1.5, 1.5)},
    why="a few numbers whose gradients are each one mean of what is lacking",
)
SIM_SIAM = Family(
    name="simsiam",
    network=SimSiam,
    loss=siamese_loss,
    batches=augmented,
    widths=WIDTHS,
    base=64,
    sizes={"encoder_?": _RELU, "projector_2": _RELU},
)
