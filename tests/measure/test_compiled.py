"""Compiled models are recorded as they would be uncompiled, and are compiled no more often."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.utils.checkpoint import checkpoint

import umup_diag
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind

STEPS = 5
MANY = 9  #: blocks: more often than that, dynamo does not compile one function

pytestmark = [  # what dynamo does to autograd functions and to tensors between two graphs
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # inductor imports it
]


class Block(nn.Module):
    def __init__(self, checkpointed: bool) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        if self.checkpointed:
            out: Tensor = checkpoint(self._inner, x, use_reentrant=False)
            return out
        return self._inner(x)

    def _inner(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(input=torch.relu(self.a(x)))
        return out


class Net(nn.Module):
    def __init__(self, checkpointed: bool = False, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(checkpointed) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def whole(net: Net, backend: str) -> nn.Module:
    return torch.compile(net, backend=backend, fullgraph=True)  # type: ignore[return-value]


def in_place(net: Net, backend: str) -> nn.Module:
    net.compile(backend=backend, fullgraph=True)
    return net


def block_by_block(net: Net, backend: str) -> nn.Module:
    for block in net.blocks:
        block.compile(backend=backend, fullgraph=True)
    return net


def wrapped_blocks(net: Net, backend: str) -> nn.Module:
    for at, block in enumerate(net.blocks):
        net.blocks[at] = torch.compile(block, backend=backend, fullgraph=True)  # type: ignore[assignment]
    return net


Compile = Callable[[Net, str], nn.Module]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def train(net: nn.Module, steps: int = STEPS) -> tuple[list[Tensor], list[int]]:
    """Losses and gradients, and the number of graphs after each step.

    Weights and inputs are small multiples of a power of two, and the loss is linear in the outputs:
    every sum is exact, so the order that a compiler adds in does not show in any bit.
    """
    optimizer = torch.optim.SGD(net.parameters(), lr=0.25)
    seen, graphs = [], []
    _snap(net)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        x, signs = torch.randint(-2, 3, (2, 5, 8), generator=generator).float()
        loss = (net(x) * signs).sum()
        loss.backward()
        seen += [loss.detach(), *(p.grad.clone() for p in net.parameters() if p.grad is not None)]
        optimizer.step()
        optimizer.zero_grad()
        _snap(net)
        with torch.no_grad():
            net(x)
        graphs.append(counters["stats"]["unique_graphs"])
    return seen, graphs


@torch.no_grad()
def _snap(net: nn.Module) -> None:
    """Weights to multiples of a quarter between -1 and 1."""
    for parameter in net.parameters():
        parameter.copy_((4 * parameter).round().clamp(-4, 4) / 4)


def made(*, checkpointed: bool = False, blocks: int = 2) -> Net:
    torch.manual_seed(0)
    return Net(checkpointed, blocks)


def by_name(folder: Path) -> list[tuple[int | None, list[str], dict[tuple[str, str], Any]]]:
    found = []
    for frame in Recording.load(folder).frames:
        order = [each.tensor for each in sorted(frame.records, key=lambda each: each.order)]
        records = {(each.tensor, each.kind): each.histogram for each in frame.records}
        found.append((frame.step, order, records))
    return found


def compare(
    folder: Path, compile_: Compile, backend: str, when: str, net: Callable[[], Net] = made
) -> None:
    with umup_diag.record(net(), every=2, to=folder / "uncompiled", strict=True) as recording:
        train(recording._model)
    bare, bare_graphs = train(compile_(net(), backend))
    torch.compiler.reset()
    counters.clear()
    model: nn.Module = net()
    if when != "after":
        model = compile_(model, backend)  # type: ignore[arg-type]
    if when == "run before":
        train(model, 0)
        model(torch.randn(5, 8)).sum()
    with umup_diag.record(model, every=2, to=folder / "compiled", strict=True):
        if when == "after":
            model = compile_(model, backend)  # type: ignore[arg-type]
        recorded, graphs = train(model)
    assert all(each.isfinite().all() for each in bare)
    assert all(torch.equal(a, b) for a, b in zip(bare, recorded, strict=True))
    assert by_name(folder / "uncompiled") == by_name(folder / "compiled")
    assert not counters["graph_break"]
    assert graphs[0] == graphs[-1], "compiled again when a step was due"
    assert bare_graphs[0] == bare_graphs[-1]


@pytest.mark.parametrize(
    ("compile_", "when", "blocks"),
    [
        (whole, "before", 2),
        (block_by_block, "before", MANY),
        pytest.param(whole, "run before", 2, marks=pytest.mark.slow),
        pytest.param(in_place, "after", 2, marks=pytest.mark.slow),
        pytest.param(wrapped_blocks, "after", 2, marks=pytest.mark.slow),
    ],
)
def test_compiled_is_recorded_like_uncompiled(
    tmp_path: Path, compile_: Compile, when: str, blocks: int
) -> None:
    compare(tmp_path, compile_, "eager", when, lambda: made(blocks=blocks))


def test_through_ahead_of_time_autograd(tmp_path: Path) -> None:
    compare(tmp_path, whole, "aot_eager", "before", lambda: made(checkpointed=True))


@pytest.mark.slow  # the C++ compiler takes half a minute
@pytest.mark.parametrize("compile_", [whole, block_by_block])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_through_inductor(tmp_path: Path, compile_: Compile, checkpointed: bool) -> None:
    compare(tmp_path, compile_, "inductor", "before", lambda: made(checkpointed=checkpointed))


def test_a_copy_can_be_compiled_and_is_not_recorded(tmp_path: Path) -> None:
    net = made()
    with umup_diag.record(net, every=1, to=tmp_path, strict=True) as recording:
        other = copy.deepcopy(net)
        train(torch.compile(other, backend="eager", fullgraph=True), 1)  # type: ignore[arg-type]
        assert recording.done == 0
        train(net, 1)
    assert len(Recording.load(tmp_path).frames) == 1


def test_where_a_graph_breaks_every_layer_is_seen_once(tmp_path: Path) -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            torch._dynamo.graph_break()
            out: Tensor = self.b(x)
            return out

    net = Breaks()
    compiled = torch.compile(net, backend="eager")
    with umup_diag.record(net, every=2, to=tmp_path, strict=True):
        train(compiled)  # type: ignore[arg-type]
    for _, order, records in by_name(tmp_path):
        assert sorted(set(order)) == ["a", "a.bias", "b", "b.bias"]
        assert len(records) == 8
        counts = {name: each.count for name, each in records.items()}
        assert {n for (_, kind), n in counts.items() if kind != Kind.WEIGHT} == {40}
