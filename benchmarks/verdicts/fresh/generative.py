"""Models that generate: a denoiser modulated by time, a normalizing flow, a sparse autoencoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.fresh.data import activations, curves, diffused
from benchmarks.verdicts.layers import LayerNorm, Linear
from benchmarks.verdicts.recipe import Family
from benchmarks.verdicts.sequence_layers import SMALL_HEAD, waves


class ModulatedBlock(nn.Module):
    """A norm, up, scaled and shifted by what the time says, SiLU, down."""

    branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = LayerNorm(width), Linear(width, width), Linear(width, width)
        self.film = Linear(width, 2 * width)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(N, D) each, to the same."""
        scale, shift = self.film(time).chunk(2, -1)
        y = self.up(self.norm(x)) * (1 + scale) + shift
        result: Tensor = x + self.branch * self.down(F.silu(y))
        return result


class Denoiser(nn.Module):
    """(N, 24) noisy vectors and (N,) times to the noise in them."""

    input_multiplier = loss_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.time_1, self.time_2 = Linear(12, width), Linear(width, width)
        self.into = Linear(24, width)
        self.blocks = nn.ModuleList(ModulatedBlock(width) for _ in range(2))
        self.norm, self.head = LayerNorm(width), Linear(width, 24)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The noise."""
        embedded = F.silu(self.time_2(F.silu(self.time_1(waves(time.unsqueeze(-1), 6)))))
        x = self.into(x)
        for block in self.blocks:
            x = block(x, embedded)
        noise: Tensor = self.head(self.norm(x) * self.input_multiplier)
        return noise


def noise_loss(model: Denoiser, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Mean squared error of the noise."""
    x, time, noise = batch
    return F.mse_loss(model(x, time) * model.loss_multiplier, noise)


class Coupling(nn.Module):
    """Half of a vector scales and shifts the other half."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.middle = Linear(4, width), Linear(width, width)
        self.leave = Linear(width, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 8) to the same, halves exchanged, and the log of the change of volume."""
        still, moved = x.chunk(2, -1)
        scale, shift = self.leave(F.relu(self.middle(F.relu(self.enter(still))))).chunk(2, -1)
        scale = torch.tanh(scale)
        return torch.cat([moved * scale.exp() + shift, still], -1), scale.sum(-1)


class RealNVP(nn.Module):
    """(N, 8) points to their log-likelihoods."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.couplings = nn.ModuleList(Coupling(width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(N,) log-likelihoods, but for a constant."""
        volume = torch.zeros(len(x))
        for coupling in self.couplings:
            x, change = coupling(x)
            volume = volume + change
        return volume - x.square().sum(-1) / 2


def flow_loss(model: RealNVP, batch: tuple[Tensor]) -> Tensor:
    """Mean negative log-likelihood a dimension."""
    result: Tensor = -model(batch[0]).mean() / 8
    return result


class SparseAutoencoder(nn.Module):
    """(N, 24) activations to many features, few of them above zero, and back."""

    output_multiplier = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.centre = nn.Parameter(torch.zeros(24))
        self.encoder, self.decoder = Linear(24, width), Linear(width, 24, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The reconstruction and the features."""
        features = F.relu(self.encoder(x - self.centre))
        return self.decoder(features) * self.output_multiplier + self.centre, features


def sparse_loss(model: SparseAutoencoder, batch: tuple[Tensor]) -> Tensor:
    """Squared error and a tenth of the features' mean."""
    reconstruction, features = model(batch[0])
    result: Tensor = F.mse_loss(reconstruction, batch[0]) + features.mean() / 10
    return result


WIDTHS = (64, 128, 256, 512)
DENOISER = Family(
    name="denoiser",
    network=Denoiser,
    loss=noise_loss,
    batches=diffused,
    widths=WIDTHS,
    base=64,
    sizes={**SMALL_HEAD, "*.film": 0.5},
)
FLOW = Family(
    name="flow",
    network=RealNVP,
    loss=flow_loss,
    batches=curves,
    widths=WIDTHS,
    base=64,
    sizes={"*.enter": 2**0.5, "*.middle": 2**0.5, "*.leave": 0.1},
)
SPARSE = Family(
    name="sparse-autoencoder",
    network=SparseAutoencoder,
    loss=sparse_loss,
    batches=activations,
    widths=(128, 256, 512, 1024),
    sizes={"decoder": 0.25},
)
