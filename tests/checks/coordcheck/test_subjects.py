"""What people train: each kind of model passes when it is right, and its wrong rate is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.parametrizations import weight_norm

from tests.checks.coordcheck.judged import causes, judged
from umup_diag.checks.verdict import Verdict
from umup_diag.errors import InputError
from umup_diag.measure.subject import Subject, next_token_loss

BASE = 64
RATE = 2.0**-11
VOCABULARY = 256


class Toy(nn.Module):
    """A byte model by µP: an embedding, a residual branch, a readout with its multiplier."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        for layer in (self.up, self.down):
            nn.init.normal_(layer.weight, std=width**-0.5)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.head.weight)

    def branch(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(torch.relu(self.up(self.norm(x))))
        return out

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        logits: Tensor = self.head((x + self.branch(x)) * (BASE**0.5 / self.width))
        return logits


def groups(model: nn.Module, power: float = -1.0, rate: float = RATE) -> list[dict[str, Any]]:
    """Adam's by µP: what grows in fan-in and fan-out falls with width; `power` is that of ``up``.

    The multiplier of the readout stands in for its rate.
    """
    width = model.width
    assert isinstance(width, int)
    made = []
    for name, p in model.named_parameters():
        if p.requires_grad:
            hidden = p.dim() >= 2 and min(p.shape) >= BASE and "embedding" not in name
            hidden = hidden or "lora_A" in name or name.endswith(".a")
            own = power if "up" in name else -1.0
            scale = (width / BASE) ** own if hidden and "head" not in name else 1.0
            made.append({"params": [p], "lr": rate * scale})
    return made


def adam(model: nn.Module, power: float) -> Any:
    return torch.optim.Adam(groups(model, power))


class Dropout(Toy):
    def branch(self, x: Tensor) -> Tensor:
        return F.dropout(super().branch(x), 0.1, training=self.training)


class BatchNorm(Toy):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.batch_norm = nn.BatchNorm1d(width)

    def branch(self, x: Tensor) -> Tensor:
        normed: Tensor = self.batch_norm(x.flatten(0, 1)).view_as(x)
        return super().branch(normed)


class Buffers(Toy):
    """A buffer that enters, and one that each forward pass moves."""

    positions: Tensor
    seen: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("positions", torch.randn(8, width))
        self.register_buffer("seen", torch.zeros(width))

    def branch(self, x: Tensor) -> Tensor:
        self.seen.lerp_(x.detach().mean((0, 1)), 0.1)
        return super().branch(x + self.positions[: x.shape[1]])


class Frozen(Toy):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.embedding.requires_grad_(False)
        self.down.requires_grad_(False)


class Adapter(nn.Module):
    """LoRA as `peft` lays it out: the frozen layer inside, two small matrices beside it."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base.in_features, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, base.out_features, bias=False)})
        with torch.no_grad():
            for parameter in self.lora_A.parameters():
                parameter.normal_(std=base.in_features**-0.5)
            for parameter in self.lora_B.parameters():
                parameter.zero_()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))
        return out


class Lora(Toy):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.embedding.requires_grad_(False)
        self.head.requires_grad_(False)
        self.norm.requires_grad_(False)
        self.up, self.down = Adapter(self.up), Adapter(self.down)  # type: ignore[assignment]


class LoraByHand(nn.Linear):
    """The two matrices in the layer itself, the second zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)
        self.weight.requires_grad_(False)
        nn.init.normal_(self.weight, std=width**-0.5)
        self.a = nn.Parameter(torch.randn(width, 4) * width**-0.5)
        self.b = nn.Parameter(torch.zeros(4, width))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.a @ self.b


class HandLora(Toy):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.up = LoraByHand(width)


class Tied(Toy):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.head.weight = self.embedding.weight


class Unreached(Toy):
    """Experts by the byte's value: text is ASCII, so the last one has nothing to do."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.experts = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(3))
        for expert in self.experts:
            assert isinstance(expert, nn.Linear)
            nn.init.normal_(expert.weight, std=width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        which = torch.where(tokens >= 128, 2, (tokens % 2 == 0).long())
        y = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            y = y.index_put(tuple((which == index).nonzero().T), expert(x[which == index]))
        logits: Tensor = self.head((y + self.branch(x)) * (BASE**0.5 / self.width))
        return logits


class Shared(Toy):
    """One branch, three times over."""

    def branch(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = x + super().branch(x) / 2
        return super().branch(x)


class Reparametrized(Toy):
    """The weight of ``down`` is no parameter but computed from two."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        weight_norm(self.down)


def autocast_loss(dtype: torch.dtype) -> Callable[[Any, Any], Tensor]:
    def loss(model: Any, batch: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=dtype):
            return next_token_loss(model, batch)

    return loss


def clipped(model: Any, batch: Tensor, optimizer: torch.optim.Optimizer) -> None:
    next_token_loss(model, batch).backward()
    clip_grad_norm_(model.parameters(), 1e-3)
    optimizer.step()
    optimizer.zero_grad()


def accumulated(model: Any, batch: Tensor, optimizer: torch.optim.Optimizer) -> None:
    for rows in batch.chunk(2):
        next_token_loss(model, rows).div(2).backward()
    optimizer.step()
    optimizer.zero_grad()


def scaled(model: Any, batch: Tensor, optimizer: Any) -> None:
    with torch.autocast("cpu", dtype=torch.float16):
        loss = next_token_loss(model, batch)
    optimizer.scaler.scale(loss).backward()
    optimizer.scaler.unscale_(optimizer)
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.scaler.step(optimizer)
    optimizer.scaler.update()
    optimizer.zero_grad()


def adam_with_scaler(model: nn.Module, power: float) -> Any:
    optimizer: Any = adam(model, power)
    optimizer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    return optimizer


def two_optimizers(model: nn.Module, power: float) -> Any:
    matrices: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for group in groups(model, power):
        (matrices if group["params"][0].dim() == 2 else others).append(group)
    return [torch.optim.Adam(matrices), torch.optim.AdamW(others, weight_decay=0.0)]


class InBackward:
    """Steps each parameter inside the backward pass, as memory-saving optimizers do."""

    def __init__(self, model: nn.Module, power: float) -> None:
        self.param_groups = groups(model, power)
        for group in self.param_groups:
            (parameter,) = group["params"]
            single = torch.optim.Adam([dict(group)])
            parameter.register_post_accumulate_grad_hook(self.stepping(single))

    @staticmethod
    def stepping(single: torch.optim.Optimizer) -> Callable[[Tensor], None]:
        def step(parameter: Tensor) -> None:
            single.step()
            parameter.grad = None

        return step

    def step(self) -> None:
        """All is done."""


class Halved(Toy):
    """All parameters in bfloat16."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.to(torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of model or of training.

    Attributes:
        build: by width.
        train: the model and the power of the rate of ``up`` → its optimizer.
        options: of the subject besides.
        named: tensors that a wrong rate of ``up`` names.
        silent: the tensors that nothing trains.
    """

    build: Callable[[int], nn.Module] = Toy
    train: Callable[[nn.Module, float], Any] = adam
    options: Mapping[str, Any] = field(default_factory=dict)
    named: str = "up"
    silent: str = ""


KINDS: dict[str, Kind] = {
    "dropout": Kind(build=Dropout),
    "BatchNorm": Kind(build=BatchNorm),
    "buffers": Kind(build=Buffers),
    "frozen layers": Kind(build=Frozen),
    "tied weights": Kind(build=Tied),
    "adapters": Kind(build=Lora, named="up.lora_A.default"),
    "adapters by hand": Kind(build=HandLora, named="up.a"),
    "an expert that is not reached": Kind(build=Unreached, silent="experts.2"),
    "a shared module": Kind(build=Shared),
    "a computed weight": Kind(build=Reparametrized),
    "bfloat16 autocast": Kind(options={"loss": autocast_loss(torch.bfloat16)}),
    "bfloat16 parameters": Kind(
        build=Halved, train=lambda m, power: torch.optim.Adam(groups(m, power, 2.0**-7))
    ),
    "float16, scaled and clipped": Kind(
        train=adam_with_scaler,
        options={"step": scaled, "loss": autocast_loss(torch.float16)},
    ),
    "clipping": Kind(options={"step": clipped}),
    "accumulation": Kind(options={"step": accumulated}),
    "two optimizers": Kind(train=two_optimizers),
    "an optimizer in the backward pass": Kind(train=InBackward),
}


class Float16(Toy):
    """A loss that is averaged over many: its gradients are small."""

    def forward(self, tokens: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.float16):
            logits = super().forward(tokens)
        return logits * 1e-4


LOST = {
    "gradients": (Kind(build=Float16), r"float16 loses gradients: .* of head .*GradScaler"),
    "updates": (Kind(build=Halved), r"bfloat16 is too coarse for the update of .*torch.autocast"),
}


@pytest.mark.parametrize(("kind", "said"), LOST.values(), ids=LOST)
def test_what_half_precision_loses_is_said_with_what_to_do(kind: Kind, said: str) -> None:
    with pytest.raises(InputError, match=f"(?s){said}"):
        check(kind)


def check(kind: Kind, power: float = -1.0) -> Any:
    subject = Subject(
        name="it",
        build=kind.build,
        optimizer=lambda model: kind.train(model, power),
        **kind.options,
    )
    return judged(subject)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_healthy_one_passes(kind: Kind) -> None:
    result = check(kind)
    wrong = [f.sentence for f in result.findings if f.verdict is not Verdict.PASS]
    assert result.verdict is Verdict.PASS, wrong
    tensors = {f.tensor for f in result.findings if f.kind == "loss_change"}
    assert kind.named in tensors
    assert any(kind.silent in note.text for note in result.notes if "gradient" in note.text) or (
        not kind.silent
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_wrong_rate_is_named(kind: Kind) -> None:
    found = causes(check(kind, power=0.0))
    assert found == {
        kind.named: ("learning rate", "multiply the learning rate by width^-1"),
    }
