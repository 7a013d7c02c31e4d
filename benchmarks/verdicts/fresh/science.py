"""Models of things in space: molecules, point clouds, a differential equation, a radiance field."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.fresh.data import clouds, molecules, places_and_times, rays
from benchmarks.verdicts.layers import Embedding, LayerNorm, Linear
from benchmarks.verdicts.recipe import Family, classification_loss
from benchmarks.verdicts.sequence_layers import SMALL_HEAD, waves


class MessagePassing(nn.Module):
    """Messages along edges from both ends and the length, summed where they arrive."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.from_source, self.from_target = (Linear(width, width, bias=False) for _ in range(2))
        self.from_length, self.update = Linear(6, width), Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, target: Tensor, length: Tensor) -> Tensor:
        """(N, D) atoms to the same."""
        h = self.norm(x)
        ends = self.from_source(h)[source] + self.from_target(h)[target]
        messages = F.silu(ends + self.from_length(length))
        arrived = torch.zeros_like(x).index_add(0, target, messages) / 2
        result: Tensor = x + self.branch * self.update(arrived)
        return result


class MPNN(nn.Module):
    """A graph of molecules to (M, 3) properties."""

    loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.kinds = Embedding(8, width)
        self.rounds = nn.ModuleList(MessagePassing(width) for _ in range(2))
        self.readout_1, self.head = Linear(width, width), Linear(width, 3)

    def forward(self, graph: dict[str, Tensor]) -> Tensor:
        """The properties."""
        x, length = self.kinds(graph["kind"]), waves(graph["length"].unsqueeze(-1), 3)
        for each in self.rounds:
            x = each(x, graph["source"], graph["target"], length)
        x = F.silu(self.readout_1(x))
        count = int(graph["molecule"].max()) + 1
        pooled = torch.zeros(count, x.shape[-1]).index_add(0, graph["molecule"], x)
        properties: Tensor = self.head(pooled * (count / len(x)))
        return properties


def property_loss(model: MPNN, graph: dict[str, Tensor]) -> Tensor:
    """Mean squared error of the properties."""
    return F.mse_loss(model(graph) * model.loss_multiplier, graph["properties"])


class PointNet(nn.Module):
    """(B, P, 3) points to (B, 8): one MLP for every point, the largest of each feature."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.point_1, self.point_2 = Linear(3, width), Linear(width, width)
        self.point_3 = Linear(width, 2 * width)
        self.cloud_1, self.cloud_2 = Linear(2 * width, width), Linear(width, width)
        self.head = Linear(width, 8)

    def forward(self, points: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.point_2(F.relu(self.point_1(points))))
        x = self.point_3(x).amax(1)
        x = F.relu(self.cloud_2(F.relu(self.cloud_1(x))))
        logits: Tensor = self.head(x * self.input_multiplier)
        return logits


class Burgers(nn.Module):
    """(N, 2) places and times to (N, 1) velocities, held to Burgers' equation."""

    output_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.lin_1, self.lin_2 = Linear(2, width), Linear(width, width)
        self.lin_3, self.head = Linear(width, width), Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Velocities."""
        x = torch.tanh(self.lin_2(torch.tanh(self.lin_1(x))))
        velocity: Tensor = self.head(torch.tanh(self.lin_3(x))) * self.output_multiplier
        return velocity


def physics_loss(model: Burgers, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """What the equation lacks within, by derivatives of the network, and the start's error."""
    inside, start, known = batch
    x = inside.clone().requires_grad_()
    u = model(x)
    (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first[:, 0].sum(), x, create_graph=True)
    lacking = first[:, 1:] + u * first[:, :1] - 0.05 * second[:, :1]
    result: Tensor = lacking.square().mean() + 2 * (model(start) - known).square().mean()
    return result


class RadianceField(nn.Module):
    """Places along rays and their directions to the colour of each ray."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.trunk_1, self.trunk_2 = Linear(24, width), Linear(width, width)
        self.trunk_3, self.again = Linear(width, width), Linear(24, width, bias=False)
        self.density_head, self.feature = Linear(width, 1), Linear(width, width)
        self.view, self.view_direction = (
            Linear(width, width // 2),
            Linear(12, width // 2, bias=False),
        )
        self.colour_head = Linear(width // 2, 3)

    def forward(self, places: Tensor, direction: Tensor) -> Tensor:
        """(R, S, 3) places and (R, 3) directions to (R, 3) colours."""
        embedded, seen = waves(places, 4), waves(direction, 2).unsqueeze(1)
        x = F.relu(self.trunk_2(F.relu(self.trunk_1(embedded))))
        x = F.relu(self.trunk_3(x) + self.again(embedded))
        density = F.softplus(self.density_head(x)).squeeze(-1)
        beside = F.relu(self.view(self.feature(x)) + self.view_direction(seen))
        colour = torch.sigmoid(self.colour_head(beside))
        step = density * 2 / places.shape[1]
        passed = torch.exp(-F.pad(step.cumsum(-1)[:, :-1], (1, 0)))
        weight = passed * (1 - torch.exp(-step))
        result: Tensor = (weight.unsqueeze(-1) * colour).sum(1)
        return result


def photometric_loss(model: RadianceField, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean squared error of the colours."""
    places, direction, colours = batch
    return F.mse_loss(model(places, direction), colours)


WIDTHS = (64, 128, 256, 512)
_RELU = 2**0.5
MPNN_FAMILY = Family(
    name="mpnn",
    network=MPNN,
    loss=property_loss,
    batches=molecules,
    widths=WIDTHS,
    base=64,
    sizes={"head": 0.1},
    rates={"sgd": 0.25, "momentum": 0.1},
)
POINT_NET = Family(
    name="point-net",
    network=PointNet,
    loss=classification_loss,
    batches=clouds,
    widths=WIDTHS,
    base=64,
    sizes={"head": 0.1, "point_*": _RELU, "cloud_*": _RELU},
    rates={"sgd": 0.25, "momentum": 0.1},
)
PINN = Family(
    name="pinn",
    network=Burgers,
    loss=physics_loss,
    batches=places_and_times,
    widths=WIDTHS,
    base=64,
    sizes={**SMALL_HEAD, "lin_1": 2.0},
    rates={"sgd": 0.02, "momentum": 0.01},
)
RADIANCE = Family(
    name="radiance",
    network=RadianceField,
    loss=photometric_loss,
    batches=rays,
    widths=WIDTHS,
    base=64,
    sizes={"*_head": 0.25, "trunk_*": _RELU},
)
