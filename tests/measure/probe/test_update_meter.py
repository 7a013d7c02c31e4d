"""The loss change of every tensor, against float64 and by hand, however the optimizer steps."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reference_model
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.probe.probe import Probe
from umup_diag.measure.probe.update_meter import dot
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import Schedule, train
from umup_diag.recording import Frame
from umup_diag.scaling.kinds import Kind


class Conv1D(nn.Module):
    """As Hugging Face's: (fan-in, fan-out)."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.nf = fan_out
        self.weight = nn.Parameter(torch.randn(fan_in, fan_out) * fan_in**-0.5)
        self.bias = nn.Parameter(torch.zeros(fan_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(*x.shape[:-1], self.nf)


class Times(nn.Linear):
    """A home-made linear with a multiplier inside."""

    multiplier = 0.25

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) * self.multiplier + self.bias


class Zoo(nn.Module):
    """Tied, biased, gains, a scalar, a bare matrix, an idle expert, a frozen layer."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, width)
        self.positions = nn.Parameter(torch.randn(4, width) * 0.1)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = Conv1D(width, 3 * width), Times(3 * width, width)
        self.scalar = nn.Parameter(torch.tensor(0.5))
        self.idle, self.frozen = nn.Linear(width, width), nn.Linear(width, width)
        self.frozen.requires_grad_(False)
        self.head = nn.Linear(width, 16, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.positions
        x = x + self.scalar * self.down(F.gelu(self.up(self.norm(x)))) + self.frozen(x)
        out: Tensor = self.head(x)
        return out


def batch() -> Tensor:
    return torch.randint(16, (2, 5), generator=torch.Generator().manual_seed(3))


def loss(model: nn.Module, tokens: Tensor) -> Tensor:
    out: Tensor = model(tokens[:, :-1])
    return F.cross_entropy(out.flatten(0, 1), tokens[:, 1:].flatten())


Optimizer = Callable[[nn.Module], torch.optim.Optimizer]


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2.0**-10)


def clipped(model: nn.Module) -> torch.optim.Optimizer:
    """Descent along a gradient clipped in place, by norm and by value, as trainers do."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        nn.utils.clip_grad_value_(model.parameters(), 0.01)

    optimizer.register_step_pre_hook(clip)
    return optimizer


Run = list[Frame]


def run(
    optimizer: Optimizer | None,
    name: str | None = None,
    steps: int = 2,
    kinds: frozenset[Kind] = frozenset(),
) -> Run:
    subject = Subject(
        name="zoo",
        build=Zoo,
        loss=loss,
        batches=lambda **_: iter([batch()]),
        optimizer=optimizer,
    )
    schedule = Schedule(
        steps=steps, optimizer=name, lr=2.0**-10, batch_size=2, seq_len=4, kinds=kinds
    )
    return trained(subject, schedule)


def trained(subject: Subject, schedule: Schedule) -> Run:
    cpu = torch.device("cpu")
    corpus = Corpus.load()
    return list(train(subject, corpus, schedule, width=8, seed=0, stream=0, device=cpu))


def reference(optimizer: Optimizer, steps: int = 2) -> dict[tuple[str, int], float]:
    """−⟨∂L/∂p, Δp⟩ in float64 from whole copies, by parameter name and update."""
    torch.manual_seed(0)
    model = Zoo(8)
    batch()
    stepped = optimizer(model)
    found = {}
    for step in range(1, steps + 1):
        stepped.zero_grad()
        gradients = torch.autograd.grad(
            loss(model, batch()),
            [p for p in model.parameters() if p.requires_grad],
            allow_unused=True,
        )
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        old = [p.detach().double().clone() for _, p in named]
        loss(model, batch()).backward()
        stepped.step()
        for (name, p), gradient, before in zip(named, gradients, old, strict=True):
            change = p.detach().double() - before
            value = 0.0 if gradient is None else -float((gradient.double() * change).sum())
            found[name, step] = value
    return found


def named(row_tensor: str) -> str:
    layers = ("embedding", "up", "down", "idle", "head", "frozen")
    return f"{row_tensor}.weight" if row_tensor in layers else row_tensor


def loss_changes(found: Run) -> dict[tuple[str, int], float]:
    return {
        (named(record.tensor), frame.step or 0): record.value
        for frame in found
        for record in frame.records
        if record.kind == Kind.LOSS_CHANGE
    }


def fused(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], lr=2.0**-10, fused=True
    )


@pytest.mark.parametrize(
    ("own", "name", "like"),
    [(adam, None, adam), (clipped, None, clipped), (None, "adam", fused)],
    ids=["its own", "its own, clipped", "by name, in the backward pass"],
)
def test_every_trainable_tensor_has_its_loss_change(
    own: Optimizer | None, name: str | None, like: Optimizer
) -> None:
    found, expected = loss_changes(run(own, name)), reference(like)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-4, abs=1e-12), key


def test_what_no_gradient_reaches_has_a_loss_change_of_zero() -> None:
    found = loss_changes(run(adam))
    assert found["idle.weight", 1] == 0.0
    assert found["idle.bias", 2] == 0.0
    assert not any(name.startswith("frozen") for name, _ in found)


def test_loss_changes_add_up_to_the_fall_of_the_loss() -> None:
    found = run(adam, steps=1)
    total = sum(loss_changes(found).values())
    assert total == pytest.approx(found[0].losses[0] - found[1].losses[0], rel=0.05)


def test_clipping_is_seen_as_the_share_of_the_gradient_that_passes() -> None:
    def by_norm(model: nn.Module) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def clip(*_: Any) -> None:
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)

        optimizer.register_step_pre_hook(clip)
        return optimizer

    passed = readings(run(by_norm, steps=1), Kind.GRADIENT_PASSED, 1)
    torch.manual_seed(0)
    model = Zoo(8)
    loss(model, batch()).backward()
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), 1e9))
    assert len(passed) > 5
    assert all(share == pytest.approx(0.1 / norm, rel=1e-4) for share in passed.values())


def readings(found: Run, kind: Kind, step: int) -> dict[str, float]:
    return {record.tensor: record.value for record in found[step].records if record.kind == kind}


def test_gains_and_update_gains_against_the_matrices_themselves() -> None:
    """Biases move as well, and must not leak into either."""
    torch.manual_seed(0)
    model = Zoo(8)
    tokens = batch()[:, :-1]
    seen: dict[str, Tensor] = {}
    for name in ("up", "down", "head"):
        model.get_submodule(name).register_forward_hook(
            lambda _, args, __, name=name: seen.__setitem__(name, args[0].detach().double())
        )
    model(tokens)
    old = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    loss(model, batch()).backward()
    fused(model).step()
    new = {name: p.detach().double() for name, p in model.named_parameters()}

    def ratio(out: Tensor, x: Tensor) -> float:
        return float((out.square().mean() / x.square().mean()).sqrt())

    def apply(name: str, weight: Tensor) -> Tensor:
        x = seen[name]
        return x @ weight if name == "up" else (0.25 if name == "down" else 1.0) * x @ weight.T

    found = run(None, "adam", steps=1)
    gains, updates = readings(found, Kind.GAIN, 0), readings(found, Kind.UPDATE_GAIN, 1)
    for name in ("up", "down", "head"):
        key = "embedding.weight" if name == "head" else f"{name}.weight"
        assert gains[name] == pytest.approx(ratio(apply(name, old[key]), seen[name]), rel=1e-5)
        change = apply(name, new[key] - old[key])
        assert updates[name] == pytest.approx(ratio(change, seen[name]), rel=1e-3)
    rows = old["embedding.weight"][tokens]
    assert gains["embedding"] == pytest.approx(float(rows.square().mean().sqrt()), rel=1e-5)
    multipliers = readings(found, Kind.MULTIPLIER, 0)
    assert multipliers == {
        name: pytest.approx(0.25 if name == "down" else 1.0, rel=1e-5)
        for name in ("embedding", "up", "down", "head", "frozen")
    }


def test_what_the_input_brings_and_what_the_update_brings_add_up() -> None:
    found = run(None, "adam", steps=1, kinds=frozenset({Kind.OUTPUT_CHANGE}))
    carried = readings(found, Kind.CARRIED_CHANGE, 1)
    whole = readings(found, Kind.OUTPUT_CHANGE, 1)
    assert carried["embedding"] == pytest.approx(0.0, abs=1e-6)
    assert 0 < carried["up"] < whole["up"] * 1.5


def test_watching_changes_no_bit_of_a_run() -> None:
    def losses(record: bool) -> tuple[float, ...]:
        subject = Subject(
            name="zoo", build=Zoo, loss=loss, batches=lambda **_: iter([batch()]), optimizer=adam
        )
        schedule = Schedule(
            steps=3,
            optimizer=None,
            lr=None,
            batch_size=2,
            seq_len=4,
            record=record,
            spectral=record,
        )
        return tuple(loss for frame in trained(subject, schedule) for loss in frame.losses)

    assert losses(True) == losses(False)


def test_a_dot_product_in_pieces_is_the_whole() -> None:
    a, b = torch.randn(3, (1 << 20) + 7), torch.randn(3, (1 << 20) + 7)
    exact, size = float((a.double() * b.double()).sum()), float((a * b).abs().sum())
    assert abs(dot(a, b) - exact) < 1e-6 * size
    assert dot(a.double(), b.double()) == pytest.approx(exact, rel=1e-10)


def test_adams_epsilon_takes_a_share_of_the_update() -> None:
    model = nn.Linear(4, 4, bias=False)
    probe = Probe(model)
    with probe.forward():
        out = model(torch.ones(2, 4))
    out.sum().backward()
    assert model.weight.grad is not None
    model.weight.grad.fill_(1e-3)
    meter = probe.meter()
    meter.before(model.weight, model.weight.grad)
    with torch.no_grad():
        model.weight.sub_(0.01)
    meter.after(model.weight, {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.2})
    found = {record.kind: record.value for record in probe.take()}
    assert found[Kind.EPS_SHARE] == pytest.approx(0.5)
    assert found[Kind.RATE] == 0.1
    assert found[Kind.WEIGHT_DECAY] == pytest.approx(0.02)
    assert found[Kind.GRADIENT_RMS] == pytest.approx(1e-3)
    assert probe.take() == []


def test_a_decay_that_is_the_optimizers_default_is_nobodys_choice() -> None:
    def adamw(**options: float) -> Optimizer:
        return lambda model: torch.optim.AdamW(model.parameters(), lr=2.0**-10, **options)  # type: ignore[arg-type]

    unasked = readings(run(adamw(), steps=1), Kind.WEIGHT_DECAY, 1)
    chosen = readings(run(adamw(weight_decay=0.1), steps=1), Kind.WEIGHT_DECAY, 1)
    by_name = readings(run(None, "adamw", steps=1), Kind.WEIGHT_DECAY, 1)
    assert set(unasked.values()) == set(by_name.values()) == {0.0}
    assert set(chosen.values()) == {0.1 * 2.0**-10}


def test_a_model_is_freed_with_its_run() -> None:
    """A sweep at width 4096 has room for one model, not for those that await the collector."""
    models: list[weakref.ref[nn.Module]] = []

    def build(width: int) -> nn.Module:
        model = reference_model.umup.build(width)
        models.append(weakref.ref(model))
        return model

    subject = Subject(name="llama", build=build, loss=reference_model.umup.loss)
    schedule = Schedule(steps=2, optimizer="adam", lr=2.0**-10, batch_size=2, seq_len=4)
    corpus, cpu = Corpus.load(), torch.device("cpu")
    gc.collect()
    gc.disable()
    try:
        for _ in train(subject, corpus, schedule, width=64, seed=0, stream=0, device=cpu):
            pass
        assert models[0]() is None
    finally:
        gc.enable()
