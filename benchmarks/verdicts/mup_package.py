"""The `mup` package's own layers, base shapes and optimizers, as its README uses them.

Needs the package, which this project does not depend on (``pip install --no-deps mup``): it is
imported only when a case is built, so that the others run without it.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.verdicts.case import Case, Fault, Split
from benchmarks.verdicts.data import CLASSES, FEATURES, labelled_vectors
from umup_diag.measure.subject import Subject, next_token_loss

BASE, VOCABULARY = 128, 256
RATES: Mapping[str, float] = {"adam": 2.0**-11, "adamw": 2.0**-11, "sgd": 2.0**-4}


class MLP(nn.Module):
    """(B, FEATURES) to (B, CLASSES), with torch's own init."""

    def __init__(self, width: int, *, zero: bool = False) -> None:
        from mup import MuReadout

        super().__init__()
        self.first, self.second = nn.Linear(FEATURES, width), nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.head = MuReadout(width, CLASSES, readout_zero_init=zero)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for layer in (self.first, self.second, self.third):
            x = F.relu(layer(x))
        logits: Tensor = self.head(x)
        return logits


class Tied(nn.Module):
    """(B, T) tokens to (B, T, V) logits; the readout is a `MuSharedReadout` of the embedding."""

    def __init__(self, width: int) -> None:
        from mup import MuSharedReadout

        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = MuSharedReadout(self.embedding.weight, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embedding(tokens)
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        logits: Tensor = self.head(F.rms_norm(x, x.shape[-1:]))
        return logits


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    x, classes = batch
    return F.cross_entropy(model(x), classes)


def _build(network: Callable[[int], nn.Module], width: int, *, shapes: bool) -> nn.Module:
    from mup import set_base_shapes

    model = network(width)
    if shapes:
        set_base_shapes(model, network(BASE), delta=network(2 * BASE))
    else:
        set_base_shapes(model, None)
    return model


def _mup_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    import mup

    kinds = {"adam": mup.MuAdam, "adamw": mup.MuAdamW, "sgd": mup.MuSGD}
    made: torch.optim.Optimizer = kinds[name](model.parameters(), lr=RATES[name])
    return made


def _torch_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    made: torch.optim.Optimizer = kinds[name](model.parameters(), lr=RATES[name])
    return made


def _case(
    optimizer: str,
    variant: str = "",
    *,
    network: Callable[[int], nn.Module] = MLP,
    shapes: bool = True,
    optimize: Callable[[str, nn.Module], torch.optim.Optimizer] = _mup_optimizer,
    **more: Any,
) -> Case:
    tied = network is Tied
    name = "-".join(part for part in ("mup-package", optimizer, variant) if part)

    def subject() -> Subject:
        return Subject(
            name=f"benchmarks.verdicts:{name}",
            build=partial(_build, network, shapes=shapes),
            loss=next_token_loss if tied else _loss,
            batches=None if tied else labelled_vectors,
            optimizer=partial(optimize, optimizer),
        )

    return Case(
        name=name,
        split=Split.DEV,
        family="mup-package",
        optimizer=optimizer,
        asked=None,
        subject=subject,
        widths=(128, 256, 512) if tied else (128, 256, 512, 1024),
        **more,
    )


def cases() -> Iterator[Case]:
    """Right as in the README, and wrong as people have had it."""
    for optimizer in ("adam", "adamw", "sgd"):
        yield _case(optimizer)
        yield _case(optimizer, "zero-readout", network=partial(MLP, zero=True))
    yield _case(
        "adam",
        "real-plain-optimizer",
        optimize=_torch_optimizer,
        fault=Fault(
            tensors=("second", "third"),
            causes={"learning rate": 1.0},
            source="microsoft/mup#73",
        ),
    )
    yield _case(
        "sgd",
        "plain-optimizer",
        optimize=_torch_optimizer,
        fault=Fault(tensors=("first", "head", "*.bias"), causes={"learning rate": -1.0}),
    )
    yield _case(
        "adam",
        "real-no-base-shapes",
        shapes=False,
        fault=Fault(
            tensors=("second", "third", "head"),
            causes={"learning rate": 1.0},
            source="microsoft/mup#41",
        ),
    )
    yield _case(
        "adam",
        "real-tied-rescaled",
        network=Tied,
        fault=Fault(tensors=("embedding",), causes={"init": 0.5}, source="microsoft/mup#55"),
        notes="the package's own shared readout, as it is",
    )
