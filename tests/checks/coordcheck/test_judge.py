"""Planted faults in a real model, trained for real, and the healthy model beside them."""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import reference_model
from reference_model import LlamaSubject
from reference_model.llama import Embedding, Layer, Linear, Llama, Readout
from tests.checks.coordcheck.judged import WIDTHS, causes, judged
from tests.checks.coordcheck.planted_faults import UNSEEN, subject
from umup_diag.checks.coordcheck.finding import NonFiniteFinding, SlopeFinding
from umup_diag.checks.fix import Advice, Fix
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.errors import InputError
from umup_diag.measure.subject import Subject

MUP = replace(reference_model.mup, head_dim=16)


def check(
    llama: LlamaSubject | None = None,
    *,
    build: Callable[[int], nn.Module] | None = None,
    rate: Callable[[Llama, Any], float] | None = None,
    widths: tuple[int, ...] = WIDTHS,
    lr: float | None = None,
    seeds: int = 3,
    optimizer: str | None = None,
    batch_size: int = 2,
) -> Result:
    """A coord check of a Llama, with its build or its learning rates tampered with."""
    llama = llama or MUP

    def groups(model: Llama, *, optimizer: str, lr: float) -> list[dict[str, Any]]:
        found = llama.parameter_groups(model, optimizer=optimizer, lr=lr)
        owners = {id(m.weight): m for m in model.modules() if isinstance(m, Linear | Embedding)}
        for group in found:
            group["lr"] *= rate(model, owners[id(group["params"][0])]) if rate else 1.0
        return found

    subject = Subject(
        name="tampered",
        build=build or llama.build,
        loss=llama.loss,
        parameter_groups=groups,
        learning_rates=llama.learning_rates,
        target=llama.target,
    )
    return judged(
        subject,
        widths=widths,
        seeds=seeds,
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
    )


def slopes(result: Result) -> list[SlopeFinding]:
    return [finding for finding in result.findings if isinstance(finding, SlopeFinding)]


def by_width(model: Llama, power: float) -> float:
    return float((model.config.width / 128) ** power)


def layer(model: Llama, index: int) -> Layer:
    found = model.layers[index]
    assert isinstance(found, Layer)
    return found


@pytest.mark.parametrize("name", ["umup", "mup", "depth_mup"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_healthy_models_pass(name: str, optimizer: str) -> None:
    healthy = replace(getattr(reference_model, name), head_dim=16)
    result = check(healthy, optimizer=optimizer)
    assert result.verdict is Verdict.PASS, [
        f for f in result.findings if f.verdict is not Verdict.PASS
    ]


@pytest.mark.parametrize(("name", "slope"), [("sp", 1.0), ("ntk", 0.5)])
def test_sp_and_ntk_fail_by_the_power_that_theory_says(name: str, slope: float) -> None:
    result = check(replace(getattr(reference_model, name), head_dim=16))
    assert result.verdict is Verdict.FAIL
    changes = [
        finding
        for finding in slopes(result)
        if (finding.kind, finding.role, finding.verdict) == ("update_gain", "hidden", "FAIL")
    ]
    assert len(changes) >= 10
    assert sum(f.slope for f in changes) / len(changes) == pytest.approx(slope, abs=0.15)
    assert causes(result)["layers.1.ffn.up"][0] == "learning rate"


def test_a_rate_that_is_not_scaled_is_named_with_its_fix() -> None:
    result = check(rate=lambda model, _: by_width(model, 1.0) if type(_) is Linear else 1.0)
    assert causes(result)["layers.0.attention.q"] == (
        "learning rate",
        "multiply the learning rate by width^-1",
    )
    assert "embedding" not in causes(result)


@pytest.mark.parametrize(("power", "fix"), [(0.5, "width^-0.5"), (-1.0, "width^+1")])
def test_a_rate_that_is_scaled_by_the_wrong_power(power: float, fix: str) -> None:
    """∝ 1/√width, and ∝ 1/width²: the second leaves activation plots perfectly flat."""
    result = check(rate=lambda model, _: by_width(model, power) if type(_) is Linear else 1.0)
    cause, found = causes(result)["layers.1.ffn.down"]
    assert (cause, found) == ("learning rate", f"multiply the learning rate by {fix}")


def test_one_layers_rate_alone() -> None:
    def rate(model: Llama, module: nn.Module) -> float:
        return by_width(model, 1.0) if module is layer(model, 1).ffn.gate else 1.0

    found = causes(check(rate=rate))
    assert set(found) == {"layers.1.ffn.gate"}


def test_embedding_and_head_rates_scaled_that_should_not_be() -> None:
    def rate(model: Llama, module: nn.Module) -> float:
        return by_width(model, -1.0) if isinstance(module, Embedding | Readout) else 1.0

    found = causes(check(rate=rate))
    assert set(found) == {"embedding", "head"}
    assert found["head"] == ("learning rate", "multiply the learning rate by width^+1")


def tampered(change: Callable[[Llama], object], **config: Any) -> Callable[[int], nn.Module]:
    def build(width: int) -> nn.Module:
        model = replace(MUP, **config).build(width)
        with torch.no_grad():
            change(model)
        return model

    return build


def test_an_embedding_that_starts_too_small() -> None:
    def change(model: Llama) -> None:
        model.embedding.weight.mul_(by_width(model, -0.5))

    found = causes(check(build=tampered(change)))
    assert found["embedding"] == ("init", "multiply the initial weights by width^+0.5")


def test_a_hidden_layer_that_starts_too_large() -> None:
    def change(model: Llama) -> None:
        layer(model, 0).attention.v.weight.mul_(by_width(model, 0.5))

    found = causes(check(build=tampered(change)))
    assert found["layers.0.attention.v"] == ("init", "multiply the initial weights by width^-0.5")


def test_a_readout_multiplier_of_the_wrong_power() -> None:
    def change(model: Llama) -> None:
        scales = model.head.scales
        model.head.scales = replace(scales, multiplier=scales.multiplier * by_width(model, 0.5))

    found = causes(check(build=tampered(change)))
    assert found["head"] == ("multiplier", "multiply the multiplier by width^-0.5")


def test_attention_over_the_root_of_a_head_dimension_that_grows() -> None:
    """Four heads at every width, logits over √d_head: flatter than correct, to the eye."""

    def build(width: int) -> nn.Module:
        model = replace(MUP, head_dim=width // 4).build(width)
        for index in range(2):
            layer(model, index).attention.multiplier = 1 / sqrt(width // 4)
        return model

    found = causes(check(build=build))
    assert found["layers.0.attention"] == (
        "attention scale",
        "multiply the attention logits by width^-0.5",
    )


def test_attention_over_a_head_dimension_that_grows_is_right() -> None:
    result = check(build=lambda width: replace(MUP, head_dim=width // 4).build(width))
    logits = [f for f in result.findings if f.kind == "attention_logits"]
    assert {f.verdict for f in logits} == {Verdict.PASS}


def test_a_factor_moved_between_init_multiplier_and_rate_is_as_right() -> None:
    """abc-symmetry: θ from the init of every hidden layer into its multiplier and its rate."""

    def change(model: Llama) -> None:
        for module in model.modules():
            if type(module) is Linear:
                theta = by_width(model, 0.5)
                module.weight.mul_(theta)
                multiplier = module.scales.multiplier / theta
                module.scales = replace(module.scales, multiplier=multiplier)

    result = check(
        build=tampered(change),
        rate=lambda model, module: by_width(model, 0.5) if type(module) is Linear else 1.0,
    )
    assert result.verdict is Verdict.PASS


def test_a_zero_readout_is_judged_by_what_it_changes() -> None:
    result = check(build=tampered(lambda model: nn.init.zeros_(model.head.weight)))
    steps = {f.tensor: f.step for f in slopes(result) if f.kind == "loss_change"}
    assert steps.pop("head") == 1
    assert len(steps) == 15
    assert set(steps.values()) == {2}, "at the first update no gradient reaches them"
    assert result.verdict is Verdict.PASS


def test_a_loss_that_is_not_finite_is_a_finding_with_step_and_tensor() -> None:
    result = check(lr=1e30, optimizer="sgd")
    assert result.verdict is Verdict.FAIL
    (finding,) = result.findings
    assert isinstance(finding, NonFiniteFinding)
    assert finding.width == 64
    assert finding.step >= 1
    assert finding.cause is not None
    assert f"after {finding.step} updates at width 64" in finding.cause
    assert finding.tensor in finding.cause
    assert finding.fix == Fix(tensor=finding.tensor, steps=(Advice(text="lower --lr"),))


def test_few_seeds_are_inconclusive_and_say_how_many_would_do() -> None:
    result = check(widths=(64, 128), seeds=2)
    assert result.verdict is Verdict.INCONCLUSIVE
    causes = [f.cause for f in result.findings if f.verdict is Verdict.INCONCLUSIVE]
    assert any("seeds would settle it" in cause for cause in causes if cause)
    one = check(widths=(64, 128), seeds=1)
    assert {f.verdict for f in one.findings} == {Verdict.INCONCLUSIVE}


def test_many_tokens_are_warned_about() -> None:
    healthy = check(widths=(64, 128), seeds=2)
    assert not any("not well below" in note.text for note in healthy.notes)
    narrow = check(widths=(16, 32), seeds=2)
    assert any("16 tokens a batch are not well below" in note.text for note in narrow.notes)


def test_a_model_that_ignores_its_width_is_an_error() -> None:
    with pytest.raises(InputError, match="no parameter grows between widths 64 and 256"):
        check(build=lambda _: MUP.build(64))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("one learning rate for every layer", "update_gain"),
        ("weight gradients times 1/√fan-in", "loss_change"),
    ],
)
def test_what_unit_scale_cannot_see_is_seen_here(name: str, kind: str) -> None:
    fault, _, sees = UNSEEN[name]
    rates = reference_model.umup.learning_rates
    faulty = replace(subject(fault), head_dim=16, learning_rates=rates)
    result = check(faulty, widths=(64, 128, 256), seeds=4)
    failed = {f.tensor for f in result.findings if f.kind == kind and f.verdict is Verdict.FAIL}
    assert {"layers.0.ffn.up", "layers.1.attention.v"} <= failed
    assert f"slope of {kind}" in sees


@pytest.mark.slow
@pytest.mark.parametrize("name", ["umup", "mup"])
@pytest.mark.parametrize("seed", range(20))
def test_healthy_models_pass_for_every_seed(name: str, seed: int, tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "umup_diag.cli", "coordcheck", "-q"]
    options = ["--model", f"reference_model:{name}", "--seed", str(seed), "--out", str(tmp_path)]
    done = subprocess.run(command + options, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
