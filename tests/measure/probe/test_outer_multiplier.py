"""Constants between layers, wherever a model puts them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.measure.probe.probe import Probe
from umup_diag.scaling.kinds import Kind

Forward = Callable[["Two", Tensor], Tensor]


class Two(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.first, self.other, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def constants(forward: Forward, factor: float = 1.0) -> dict[tuple[str, Kind], Any]:
    torch.manual_seed(0)
    model = Two(forward)
    probe = Probe(model)
    with probe.forward():
        loss = F.cross_entropy(model(torch.randn(5, 4)) * factor, torch.tensor([0, 1, 2, 0, 1]))
    probe.at_init(loss)
    kinds = (Kind.INPUT_MULTIPLIER, Kind.OUTPUT_MULTIPLIER)
    return {
        (r.tensor, Kind(r.kind)): pytest.approx(r.value, rel=1e-6)
        for r in probe.take()
        if r.kind in kinds and r.value != 1.0
    }


def test_a_multiplier_before_the_readout_after_it_or_in_the_loss() -> None:
    before = constants(lambda m, x: m.head(F.layer_norm(m.first(x), (6,)) * 0.125))
    after = constants(lambda m, x: m.head(F.layer_norm(m.first(x), (6,))) / 8)
    in_loss = constants(lambda m, x: m.head(F.layer_norm(m.first(x), (6,))), factor=0.125)
    assert before == {("head", Kind.INPUT_MULTIPLIER): 0.125}
    assert after == in_loss == {("head", Kind.OUTPUT_MULTIPLIER): 0.125}


def test_a_constant_between_two_layers_belongs_to_the_first_and_counts_once() -> None:
    found = constants(lambda m, x: m.head(m.first(x).view(5, 6) * 0.5 * torch.tensor(4.0)))
    assert found == {("first", Kind.OUTPUT_MULTIPLIER): 2.0}


def test_a_branch_weight_belongs_to_the_branch() -> None:
    def residual(m: Two, x: Tensor) -> Tensor:
        stream = F.pad(x, (0, 2)).requires_grad_()
        out: Tensor = m.head(F.layer_norm(stream + 0.25 * m.first(x), (6,)))
        return out

    assert constants(residual) == {("first", Kind.OUTPUT_MULTIPLIER): 0.25}


def test_a_branch_weight_belongs_to_all_that_ends_the_branch() -> None:
    def parallel(m: Two, x: Tensor) -> Tensor:
        stream = F.pad(x, (0, 2)).requires_grad_().clone()
        branch = torch.relu(m.first(x) + torch.ones(5, 5) @ m.other(x))
        out: Tensor = m.head(F.layer_norm(stream + 0.25 * branch, (6,)))
        return out

    weight = {(name, Kind.OUTPUT_MULTIPLIER): 0.25 for name in ("first", "other")}
    assert constants(parallel) == weight


def test_a_constant_after_the_stream_is_the_readouts_and_not_the_last_branchs() -> None:
    def residual(m: Two, x: Tensor) -> Tensor:
        stream = F.pad(x, (0, 2)).requires_grad_().clone()
        out: Tensor = m.head((stream + m.first(x)) * 0.125)
        return out

    assert constants(residual) == {("head", Kind.INPUT_MULTIPLIER): 0.125}


def test_a_trainable_scalar_or_a_gain_is_no_constant() -> None:
    scalar, gain = nn.Parameter(torch.tensor(0.5)), torch.full((6,), 0.5)
    assert constants(lambda m, x: m.head(m.first(x) * scalar)) == {}
    assert constants(lambda m, x: m.head(m.first(x) * gain)) == {}
