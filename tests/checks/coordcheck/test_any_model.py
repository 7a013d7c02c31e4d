"""Models and optimizers that no theory of the coord check knows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.checks.coordcheck.judged import causes, judged
from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.subject import Subject

BASE = 64
RATE = 2.0**-11


class Tied(nn.Module):
    """A byte model whose readout is its embedding; biases, a gain, and a constant in the way."""

    def __init__(self, width: int, *, power: float = -1.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, 256, bias=False)
        self.head.weight = self.embedding.weight
        self.multiplier = (width / BASE) ** power / BASE**0.5
        for layer in (self.up, self.down):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x = x + self.down(torch.relu(self.up(self.norm(x))))
        out: Tensor = self.head(x) * self.multiplier
        return out


def adam(
    make: Callable[..., torch.optim.Optimizer] = torch.optim.Adam, *, power: float = -1.0
) -> Callable[[Tied], torch.optim.Optimizer]:
    """Adam by µP's rules, with matrices' rates times width to a power."""

    def optimizer(model: Tied) -> torch.optim.Optimizer:
        matrices = [model.up.weight, model.down.weight]
        others = [p for p in model.parameters() if all(p is not m for m in matrices)]
        scale = (model.norm.normalized_shape[0] / BASE) ** power
        return make([{"params": matrices, "lr": RATE * scale}, {"params": others, "lr": RATE}])

    return optimizer


def check(
    build: Callable[[int], nn.Module] = Tied, optimizer: Any = None, **options: Any
) -> Result:
    subject = Subject(name="tied", build=build, optimizer=optimizer or adam())
    return judged(subject, **options)


def test_tied_weights_pass_and_each_of_their_layers_has_its_gain() -> None:
    result = check()
    assert result.verdict is Verdict.PASS, [
        f for f in result.findings if f.verdict is not Verdict.PASS
    ]
    judged_ = {(f.tensor, f.kind) for f in result.findings}
    assert {("embedding", "loss_change"), ("embedding", "gain"), ("norm.bias", "loss_change")} <= (
        judged_
    )
    assert ("head", "loss_change") not in judged_, "the weight is one, and the embedding's"


def test_a_multiplier_after_a_tied_readout_is_named() -> None:
    found = causes(check(lambda width: Tied(width, power=-0.5)))
    assert found == {"head": ("multiplier", "multiply the multiplier by width^-0.5")}


def test_a_wrong_start_of_a_tied_weight_is_one_fault() -> None:
    def build(width: int) -> Tied:
        model = Tied(width)
        with torch.no_grad():
            model.embedding.weight.mul_((width / BASE) ** 0.5)
        return model

    found = causes(check(build))
    assert found == {"embedding": ("init", "multiply the initial weights by width^-0.5")}


def test_a_tied_readouts_multiplier_is_named_beside_another_layers_start() -> None:
    def build(width: int) -> Tied:
        model = Tied(width, power=-0.5)
        with torch.no_grad():
            model.up.weight.mul_((width / BASE) ** 0.5)
        return model

    assert causes(check(build)) == {
        "up": ("init", "multiply the initial weights by width^-0.5"),
        "head": ("multiplier", "multiply the multiplier by width^-0.5"),
    }


class Biased(nn.Module):
    """A readout with a bias, behind which a constant stands that meets both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding, self.up = nn.Embedding(256, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 256)
        nn.init.normal_(self.up.weight, std=width**-0.5)
        nn.init.normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.multiplier = 1 / width

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        out: Tensor = self.head(x + torch.relu(self.up(x))) * self.multiplier
        return out


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_bias_may_make_up_for_the_constant_behind_it(power: float) -> None:
    def optimizer(model: Biased) -> torch.optim.Optimizer:
        scale = model.up.in_features / BASE
        powers = {"up.weight": -1.0, "head.bias": power}
        groups = [
            {"params": [parameter], "lr": RATE * scale ** powers.get(name, 0.0)}
            for name, parameter in model.named_parameters()
        ]
        return torch.optim.Adam(groups)

    result = check(Biased, optimizer)
    if power < 2.0:
        assert result.verdict is Verdict.PASS, [str(f.sentence) for f in result.findings]
    else:
        assert causes(result)["head.bias"][0] == "learning rate"


def test_a_rate_of_ones_own_optimizer_is_named() -> None:
    found = causes(check(optimizer=adam(power=0.0)))
    fix = ("learning rate", "multiply the learning rate by width^-1")
    assert found == {"up": fix, "down": fix}


def test_a_decay_that_nobody_chose_is_not_judged() -> None:
    unasked = check(optimizer=adam(torch.optim.AdamW))
    assert unasked.verdict is Verdict.PASS
    chosen = check(optimizer=adam(lambda groups: torch.optim.AdamW(groups, weight_decay=0.1)))
    fix = ("weight decay", "multiply the weight decay by width^+1")
    assert causes(chosen) == {"up": fix, "down": fix}


class Mixer(nn.Module):
    """Positions are mixed by one small matrix for all channels, which does not grow with width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.mix = nn.Linear(8, 8)
        self.up = nn.Linear(width, width)
        self.head = nn.Linear(width, 256, bias=False)
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.up.weight, std=width**-0.5)
        nn.init.normal_(self.head.weight, std=1 / width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x = x + self.mix(x.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.head(x + torch.relu(self.up(self.norm(x))))
        return out


def mixer_rates(mix: float) -> Callable[[Mixer], torch.optim.Optimizer]:
    def optimizer(model: Mixer) -> torch.optim.Optimizer:
        scale = model.up.in_features / BASE
        powers = {"up.weight": -1.0, "head.weight": -1.0, "mix.weight": mix}
        groups = [
            {"params": [parameter], "lr": RATE * scale ** powers.get(name, 0.0)}
            for name, parameter in model.named_parameters()
        ]
        return torch.optim.Adam(groups)

    return optimizer


def test_a_tensor_that_does_not_grow_may_start_unaligned() -> None:
    result = check(Mixer, mixer_rates(0.0))
    assert result.verdict is Verdict.PASS, [str(f.sentence) for f in result.findings]
    found = causes(check(Mixer, mixer_rates(-1.0)))
    assert found == {"mix": ("learning rate", "multiply the learning rate by width^+1")}


class ReZero(Tied):
    """Branches that start at a scalar of their own: a single random number is its gradient."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.gains = nn.ParameterList(nn.Parameter(torch.tensor(0.1)) for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for gain in self.gains:
            x = x + gain * self.down(torch.relu(self.up(self.norm(x))))
        out: Tensor = self.head(x) * self.multiplier
        return out


def test_a_scalar_is_judged_by_its_rate_where_its_gradient_is_noise() -> None:
    result = check(ReZero)
    assert result.verdict is Verdict.PASS, [str(f.sentence) for f in result.findings]
    assert {f.kind for f in result.findings if f.tensor == "gains.0"} >= {"rate"}


def test_what_is_not_decided_names_the_one_command_that_decides_it() -> None:
    result = check(widths=(64, 128), seeds=2, batch_size=1)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert any("seeds would settle it" in (f.cause or "") for f in result.findings)
    (note,) = [n.text for n in result.notes if "umup-diag coordcheck" in n.text]
    command, _, seeds = note.partition("--seeds ")
    assert command.endswith(
        "umup-diag coordcheck --model tied --widths 64,128 --target mup --steps 2 "
    )
    assert 2 < int(seeds.split()[0]) <= 200


def test_a_finding_says_when_it_was_measured() -> None:
    kinds = {f.kind: f.when for f in check().findings if isinstance(f, SlopeFinding)}
    assert kinds["gain"] == "at init"
    assert kinds["loss_change"] == "at update 1"


def test_one_seed_at_two_widths_decides_nothing() -> None:
    result = check(widths=(64, 128), seeds=1)
    assert {f.verdict for f in result.findings} == {Verdict.INCONCLUSIVE}
    assert any("use --seeds 5" in (f.cause or "") for f in result.findings)
