"""A subject rescaled from outside is the subject that a user would have written so."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.measure.rescaled import Lever, Rescaling, rescaled
from umup_diag.measure.subject import Subject
from umup_diag.scaling.side_by_side import SideBySide

BASE, WIDTH, RATE, SCALE = 16, 64, 2.0**-6, 16.0
RATIO = WIDTH / BASE


class Net(nn.Module):
    """Two layers and attention over positions, with the constants that are multiplied."""

    def __init__(self, width: int, *, multiplier: float = 1.0, scale: float = SCALE) -> None:
        super().__init__()
        self.first = nn.Linear(8, width)
        self.q, self.k = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, 4, bias=False)
        self.multiplier, self.scale = multiplier, scale

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        q, k = self.q(x) / 8, self.k(x) / 8
        x = F.scaled_dot_product_attention(q[None], k[None], x[None], scale=self.scale)[0]
        x = torch.softmax(x @ x.T * self.scale, dim=-1) @ x
        out: Tensor = self.head(x) * self.multiplier
        return out


def batch() -> Tensor:
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


def losses(
    subject: Subject, optimizer: Callable[[nn.Module], Any], width: int = WIDTH
) -> list[float]:
    torch.manual_seed(0)
    model = subject.build(width)
    trains, found = optimizer(model), []
    for _ in range(4):
        loss = F.cross_entropy(model(batch()), torch.arange(5) % 4)
        trains.zero_grad()
        loss.backward()
        trains.step()
        found.append(loss.item())
    return found


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=RATE, eps=1e-20)


def one(tensor: str, lever: Lever, exponent: float = -0.5) -> Rescaling:
    return Rescaling(tensor=tensor, lever=lever, exponent=exponent)


def changed(optimizer: Callable[[Any], Any], *changes: Rescaling) -> Subject:
    subject = Subject(name="net", build=Net, optimizer=optimizer)
    return rescaled(subject, changes, base_width=BASE)


@pytest.mark.parametrize(("optimizer", "degree"), [(sgd, 2), (adam, 1)])
def test_a_multiplier_is_a_start_and_a_rate(
    optimizer: Callable[[nn.Module], torch.optim.Optimizer], degree: int
) -> None:
    """By abc-symmetry, to rounding: four updates of a model that multiplies by RATIO^-½."""
    written = Subject(name="net", build=lambda width: Net(width, multiplier=RATIO**-0.5))
    wanted = losses(written, optimizer)
    subject = changed(optimizer, one("head", Lever.INIT), one("head", Lever.RATE, -0.5 * degree))
    assert subject.optimizer is not None
    assert losses(subject, subject.optimizer) == pytest.approx(wanted, rel=1e-5)
    assert wanted != pytest.approx(losses(Subject(name="net", build=Net), optimizer), rel=1e-3)


def test_attention_logits_are_scaled_where_they_are_made() -> None:
    written = Subject(name="net", build=lambda width: Net(width, scale=SCALE * RATIO**-0.5))
    found = losses(changed(sgd, one("", Lever.LOGITS)), sgd)
    assert found == pytest.approx(losses(written, sgd), rel=1e-5)
    assert found != pytest.approx(losses(Subject(name="net", build=Net), sgd), rel=1e-4)


def test_nothing_changes_at_the_base_width() -> None:
    subject = changed(adam, *(one("head", lever) for lever in Lever), one("", Lever.LOGITS))
    assert subject.optimizer is not None
    assert losses(subject, subject.optimizer, BASE) == losses(
        Subject(name="net", build=Net), adam, BASE
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda model: torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.5, eps=0.1),
        lambda model: [
            torch.optim.AdamW(model.head.parameters(), lr=1.0, weight_decay=0.5, eps=0.1),
            torch.optim.SGD(model.first.parameters(), lr=1.0),
        ],
        lambda model: SideBySide(
            [
                torch.optim.AdamW(model.head.parameters(), lr=1.0, weight_decay=0.5, eps=0.1),
                torch.optim.SGD(model.first.parameters(), lr=1.0),
            ]
        ),
    ],
    ids=["one", "list", "side by side"],
)
def test_each_parameter_gets_what_it_is_to_have(make: Callable[[Any], Any]) -> None:
    subject = changed(
        make,
        one("head", Lever.RATE, -1.0),
        one("head", Lever.DECAY, 1.0),
        one("head", Lever.EPSILON, -1.0),
    )
    model = subject.build(WIDTH)
    assert subject.optimizer is not None
    made: Any = subject.optimizer(model)
    parts = getattr(made, "parts", made if isinstance(made, list) else [made])
    settings = {p: group for part in parts for group in part.param_groups for p in group["params"]}
    assert isinstance(model, Net)
    head, first = settings[model.head.weight], settings[model.first.weight]
    assert (head["lr"], head["weight_decay"], head["eps"]) == (1 / RATIO, 0.5 * RATIO, 0.1 / RATIO)
    assert first["lr"] == 1.0
    assert sum(len(part.param_groups[0]["params"]) for part in parts) >= 1


def test_a_named_optimizer_gets_groups() -> None:
    subject = rescaled(
        Subject(name="net", build=Net), [one("q", Lever.RATE, -1.0)], base_width=BASE
    )
    model = subject.build(WIDTH)
    groups = subject.groups(model, optimizer="adamw", lr=1.0, weight_decay=0.25)
    rates = {p: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert isinstance(model, Net)
    assert rates[model.q.weight] == (1 / RATIO, 0.25)
    assert rates[model.k.weight] == (1.0, 0.25)
    assert len(rates) == 5
