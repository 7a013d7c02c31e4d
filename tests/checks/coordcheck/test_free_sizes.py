"""What training does not depend on is not judged; what hides behind a norm or a branch is found."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.checks.coordcheck.judged import causes, judged
from umup_diag.checks.coordcheck.evidence import Evidence, Facts
from umup_diag.checks.coordcheck.free_size import up_to_free_sizes
from umup_diag.checks.coordcheck.measuring import exactly
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.trend import trend
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.subject import Subject
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import UpdateRule

BASE, RATE = 64, 2.0**-9


class Normed(nn.Module):
    """Embedding, two branches of which the first ends with a norm, and a readout, in µP."""

    size = after_norm = branch = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width / BASE
        self.embedding = nn.Embedding(256, width)
        self.before, self.up = (nn.LayerNorm(width) for _ in range(2))
        self.inner, self.own, self.other = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.behind = nn.LayerNorm(width)
        self.head = nn.Linear(width, 256, bias=False)
        for layer in (self.inner, self.own, self.other):
            nn.init.normal_(layer.weight, std=width**-0.5)
        nn.init.normal_(self.head.weight, std=BASE**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x = x + self.branch * self.behind(self.inner(self.before(x)) * self.size)
        h = self.up(x) * self.after_norm
        x = x + torch.relu(self.own(h)) + self.other(h)
        out: Tensor = self.head(x) / self.scale
        return out


def adam(**powers: float) -> Callable[[Normed], torch.optim.Optimizer]:
    """By µP's rules, and moved by powers of width; a name's underscores are dots."""

    def optimizer(model: Normed) -> torch.optim.Optimizer:
        hidden = dict.fromkeys(("inner.weight", "own.weight", "other.weight"), -1.0)
        moved = {name.replace("_", "."): power for name, power in powers.items()}
        groups = [
            {
                "params": [parameter],
                "lr": RATE * model.scale ** (hidden.get(name, 0.0) + moved.get(name, 0.0)),
            }
            for name, parameter in model.named_parameters()
        ]
        return torch.optim.Adam(groups)

    return optimizer


def check(change: Callable[[Normed], None], **powers: float) -> Result:
    def build(width: int) -> Normed:
        model = Normed(width)
        with torch.no_grad():
            change(model)
        return model

    return judged(Subject(name="normed", build=build, optimizer=adam(**powers)))


def nothing(_: Normed) -> None:
    """Right as it is."""


def larger_multiplier(model: Normed) -> None:
    model.size = model.scale**0.5


def larger_weights(model: Normed) -> None:
    model.inner.weight.mul_(model.scale**0.5)


def smaller_gain(model: Normed) -> None:
    model.up.weight.mul_(model.scale**-0.5)
    model.after_norm = model.scale**0.5


def gain_into_layers(model: Normed) -> None:
    for weight in (model.own.weight, model.other.weight):
        weight.mul_(model.scale**0.5)
    model.up.weight.mul_(model.scale**-0.5)


def heavier_branch(model: Normed) -> None:
    model.branch = model.scale**0.5


HEALTHY: list[tuple[Callable[[Normed], None], dict[str, float]]] = [
    (nothing, {}),
    (larger_multiplier, {}),
    (larger_weights, {"inner_weight": 0.5}),
    (smaller_gain, {"up_weight": -0.5, "up_bias": -0.5}),
    (
        gain_into_layers,
        {"up_weight": -0.5, "up_bias": -0.5, "own_weight": 0.5, "other_weight": 0.5},
    ),
]


@pytest.mark.parametrize(("change", "powers"), HEALTHY, ids=[c.__name__ for c, _ in HEALTHY])
def test_a_rewrite_that_trains_the_same_passes(
    change: Callable[[Normed], None], powers: dict[str, float]
) -> None:
    result = check(change, **powers)
    assert result.verdict is Verdict.PASS, [
        str(each.sentence) for each in result.findings if each.verdict is not Verdict.PASS
    ]


def test_larger_weights_before_a_norm_turn_too_slowly() -> None:
    assert causes(check(larger_weights))["inner"][0] == "init"


def test_sizes_that_do_not_make_up_for_one_another_are_named() -> None:
    def change(model: Normed) -> None:
        model.own.weight.mul_(model.scale**0.5)
        model.other.weight.mul_(model.scale**-0.5)

    found = causes(check(change, own_weight=0.5, other_weight=-0.5))
    assert {"own", "other"} <= set(found), "they stand side by side, and not one after the other"


def test_a_gain_that_nothing_makes_up_for_is_named() -> None:
    def change(model: Normed) -> None:
        model.up.weight.mul_(model.scale**0.5)

    assert causes(check(change))["up.weight"][0] in ("init", "multiplier")


def test_a_branchs_weight_after_a_norm_is_the_norms() -> None:
    found = causes(check(heavier_branch))
    assert found["behind.weight"] == ("multiplier", "multiply the multiplier by width^-0.5")


class Stacked(nn.Module):
    """Weights of several networks in one tensor, as ensembles have them."""

    def __init__(self, width: int, *, power: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.offset = nn.Parameter(torch.zeros(2, 1, width))
        self.weight = nn.Parameter(torch.randn(2, width, width) * width**-0.5)
        self.weight.data.mul_((width / BASE) ** power)
        self.head = nn.Linear(width, 256, bias=False)
        nn.init.normal_(self.head.weight, std=BASE / width / 8)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        both = x.flatten(0, -2).expand(2, -1, -1)
        both = torch.relu(torch.baddbmm(self.offset, both, self.weight)).mean(0)
        out: Tensor = self.head(x + both.view_as(x))
        return out


def stacked(power: float) -> Result:
    def optimizer(model: Stacked) -> torch.optim.Optimizer:
        scale = model.head.in_features / BASE
        slow = [model.weight, model.head.weight]
        fast = [model.embedding.weight, model.offset]
        return torch.optim.Adam(
            [{"params": slow, "lr": RATE / scale}, {"params": fast, "lr": RATE}]
        )

    build = lambda width: Stacked(width, power=power)  # noqa: E731
    return judged(Subject(name="stacked", build=build, optimizer=optimizer))


def test_stacked_weights_have_their_gain() -> None:
    assert stacked(0.0).verdict is Verdict.PASS
    assert causes(stacked(0.5))["weight"] == ("init", "multiply the initial weights by width^-0.5")


class Field(nn.Module):
    """A function of two numbers, held to an equation of its own derivatives."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width / BASE
        self.first, self.hidden = nn.Linear(2, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 1)
        nn.init.normal_(self.first.weight, std=0.5)
        nn.init.normal_(self.hidden.weight, std=width**-0.5)
        nn.init.normal_(self.head.weight, std=BASE**-0.5)
        for layer in (self.first, self.hidden, self.head):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.hidden(torch.tanh(self.first(x))))
        out: Tensor = self.head(h) / self.scale
        return out


def descent(model: Field) -> torch.optim.Optimizer:
    powers = {"first": 1.0, "head": 1.0}
    biases = {"first.bias": 1.0, "hidden.bias": 1.0, "head.bias": 2.0}
    groups = [
        {
            "params": [p],
            "lr": 2.0**-8
            * model.scale ** biases.get(name, powers.get(name.rpartition(".")[0], 0.0)),
        }
        for name, p in model.named_parameters()
    ]
    return torch.optim.SGD(groups)


def held_to_an_equation(model: nn.Module, batch: Any) -> Tensor:
    x = batch.clone().requires_grad_()
    u = model(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    result: Tensor = (slope[:, :1] + u - torch.sin(x[:, 1:])).square().mean()
    return result


def numbers(*, batch_size: int, seq_len: int, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(batch_size * seq_len, 2, generator=generator)


def test_a_loss_that_differentiates_and_a_bias_of_one_number() -> None:
    result = judged(
        Subject(
            name="field",
            build=Field,
            loss=held_to_an_equation,
            batches=numbers,
            optimizer=descent,
        ),
        seeds=5,
        batch_size=8,
    )
    assert result.verdict is not Verdict.FAIL, causes(result)
    assert {"head.bias", "hidden"} <= {each.tensor for each in result.findings}


class Heads(nn.Module):
    """Two readouts of one trunk; the first one's multiplier falls as a power of width."""

    power = -1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width / BASE
        self.embedding, self.hidden = nn.Embedding(256, width), nn.Linear(width, width, bias=False)
        self.first, self.second = (nn.Linear(width, 256, bias=False) for _ in range(2))
        nn.init.normal_(self.hidden.weight, std=width**-0.5)
        for head in (self.first, self.second):
            nn.init.normal_(head.weight, std=BASE**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x = x + torch.relu(self.hidden(x))
        first, second = self.first(x) * self.scale**self.power, self.second(x) / self.scale
        out: Tensor = first + torch.tanh(second)
        return out


class Matched(Heads):
    """Scores of a look-up: inner products with the embeddings, times a power of width."""

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        x = x + torch.relu(self.hidden(x))
        every = self.embedding(torch.arange(256))
        scores: Tensor = torch.einsum("btd,vd->btv", x, every) * self.scale**self.power / BASE
        return scores


def by_mup(model: Heads) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        [
            {"params": [p], "lr": RATE / (model.scale if name == "hidden.weight" else 1.0)}
            for name, p in model.named_parameters()
        ]
    )


def of_power(made: type[Heads], power: float) -> Result:
    def build(width: int) -> Heads:
        model = made(width)
        model.power = power
        return model

    return judged(Subject(name=made.__name__, build=build, optimizer=by_mup))


def test_the_one_of_several_readouts_that_is_off_is_named() -> None:
    found = causes(of_power(Heads, -0.5))
    assert found == {"first": ("multiplier", "multiply the multiplier by width^-0.5")}
    assert causes(of_power(Heads, -1.0)) == {}


def test_one_constant_behind_all_gradients_is_one_fault() -> None:
    assert len(causes(of_power(Matched, -0.5))) == 1
    assert of_power(Matched, -1.0).verdict is Verdict.PASS


def power(of: float) -> dict[int, dict[int, float]]:
    return {seed: {width: width**of for width in (64, 128, 256)} for seed in range(2)}


def left_of_large_queries(*, logits: float) -> float:
    """How far the gain of queries is off that are larger by √width, as their updates are."""
    query = Facts(
        tensor="attention.q",
        order=0,
        role=Role.HIDDEN,
        update_rule=UpdateRule.ADAM,
        is_sign=True,
        is_adam=True,
        weight_of=None,
    )
    sizes = {
        (query.tensor, Kind.GAIN, 0): 0.5,
        (query.tensor, Kind.UPDATE_GAIN, 1): 0.5,
        ("attention", Kind.ATTENTION_LOGITS, 0): logits,
    }
    evidence = Evidence(
        values={(query.tensor, Kind.SIZE_SLOPE, 1): power(0.0)},
        facts={query.tensor: query},
        measured_at={(query.tensor, Kind.SIZE_SLOPE): [1]},
        order={},
        head_growth={},
        softmax_feeders={query.tensor: 1.0},
    )
    questions = []
    for (tensor, kind, step), slope in sizes.items():
        found = trend(power(slope))
        assert found is not None
        questions.append(
            Question(
                tensor=tensor, kind=kind, step=step, order=0, found=found, accepted=exactly(0.0)
            )
        )
    gain = next(up_to_free_sizes(questions, evidence))
    return gain.accepted.deviation(gain.found.slope)


def test_the_size_of_queries_is_free_where_the_logits_are_right() -> None:
    assert left_of_large_queries(logits=0.0) == pytest.approx(0.0)
    assert left_of_large_queries(logits=0.5) == pytest.approx(0.5)
