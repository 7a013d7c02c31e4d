"""Operator norms in the coord check: what no gain or RMS shows, and rates that both show."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import reference_model
from reference_model.llama import Llama
from reference_model.subject import LlamaSubject
from tests.checks.coordcheck.judged import causes, judged
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.subject import Subject
from umup_diag.scaling.kinds import Kind

ONE = "layers.1.ffn.up"
NORMS = (Kind.WEIGHT_NORM, Kind.UPDATE_NORM)


def check(
    subject: LlamaSubject, shape: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> Result:
    return judged(
        Subject(
            name="llama",
            build=lambda width: subject.build(width, **shape),
            loss=subject.loss,
            target=subject.target,
            parameter_groups=subject.parameter_groups,
            optimizer=getattr(subject, "optimizer", None),
        ),
        **({"spectral": True} | options),
    )


@pytest.mark.parametrize(("scheme", "optimizer"), [("mup", "sgd"), ("umup", "adam")])
def test_norms_of_a_right_model_pass(scheme: str, optimizer: str) -> None:
    result = check(getattr(reference_model, scheme), optimizer=optimizer)
    assert result.verdict is Verdict.PASS
    # a few may be left out as too noisy at three seeds: queries and keys, of which few tokens tell
    judged_of = {kind: {f.tensor for f in result.findings if f.kind == kind} for kind in NORMS}
    for tensors in judged_of.values():
        assert {f"layers.{i}.ffn.{x}" for i in (0, 1) for x in ("up", "gate", "down")} <= tensors
        assert "embedding" in tensors


@pytest.mark.parametrize("optimizer", ["muon", "muon-kimi"])
def test_they_are_constant_under_muon_too(optimizer: str) -> None:
    shape = {"depth": 1, "head_dim": 16}
    result = check(
        reference_model.spectral, shape, optimizer=optimizer, widths=(32, 64, 128), seeds=2
    )
    updates = [each for each in result.findings if each.kind == Kind.UPDATE_NORM]
    assert {each.verdict for each in updates} == {Verdict.PASS}
    assert len(updates) >= 7


class WrongRate(LlamaSubject):
    """One rate that does not fall with width."""

    __slots__ = ()

    def parameter_groups(self, model: Llama, **asked: Any) -> list[dict[str, Any]]:
        groups = LlamaSubject.parameter_groups(self, model, **asked)
        wrong = model.get_submodule(ONE).weight
        grown = model.config.width / 64
        return [
            {**group, "lr": group["lr"] * grown} if group["params"][0] is wrong else group
            for group in groups
        ]


def test_a_rate_that_is_wrong_shows_in_the_norm_of_its_own_update_alone() -> None:
    subject = WrongRate(scheme=reference_model.mup.scheme, target="mup", learning_rates={})
    result = check(subject, optimizer="adam", lr=2.0**-13)
    assert causes(result) == {ONE: ("learning rate", "multiply the learning rate by width^-1")}
    failing = {
        each.tensor
        for each in result.findings
        if each.kind == Kind.UPDATE_NORM and each.verdict is not Verdict.PASS
    }
    assert failing == {ONE}


class OneDirection(LlamaSubject):
    """An update with a part along one direction that no token has, of one norm, times √width."""

    __slots__ = ()

    def optimizer(self, model: Llama) -> torch.optim.Optimizer:
        groups = LlamaSubject.parameter_groups(self, model, optimizer="adam", lr=2.0**-10)
        optimizer = torch.optim.Adam(groups)
        weight: Any = model.get_submodule(ONE).weight
        width = model.config.width
        rate = next(group["lr"] for group in groups if group["params"][0] is weight)

        def add(*_: Any) -> None:
            with torch.no_grad():
                weight.add_(_unseen(weight) * rate * (weight.numel() * width / 64) ** 0.5)

        optimizer.register_step_post_hook(add)
        return optimizer


def _unseen(weight: nn.Parameter) -> Tensor:
    """A matrix of rank one and norm 1 on inputs that are orthogonal to all of the batch's.

    The gradient is a sum over tokens of gradient times input: its rows span the inputs.
    """
    assert weight.grad is not None
    *_, directions = torch.linalg.svd(weight.grad)  # the last ones are of no token
    out = torch.ones(weight.shape[0], 1) / weight.shape[0] ** 0.5
    unseen: Tensor = out @ directions[-1:]
    return unseen


@pytest.mark.parametrize("spectral", [False, True])
def test_an_update_of_low_rank_is_seen_by_its_norm_and_by_nothing_else(spectral: bool) -> None:
    subject = OneDirection(scheme=reference_model.mup.scheme, target="mup", learning_rates={})
    result = check(subject, spectral=spectral)
    if not spectral:
        assert result.verdict is Verdict.PASS
        return
    assert result.verdict is Verdict.FAIL
    assert causes(result) == {
        ONE: ("spectral norm", "multiply the norm of the update by width^-0.5")
    }
    (failing,) = [each for each in result.findings if each.verdict is Verdict.FAIL]
    assert (failing.tensor, failing.kind) == (ONE, Kind.UPDATE_NORM)
