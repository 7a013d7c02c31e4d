"""A small training loop, sharded in every way that torch has, for processes and for one alone.

Weights are multiples of a quarter between -1 and 1 and stay so, inputs are small integers, the loss
is linear in the outputs: every sum is exact in whichever order it is done, and so must agree bit by
bit, however it is spread over processes.
"""

import os
import socket
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_module
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)
from torch.nn.parallel import DistributedDataParallel

import umup_diag

STEPS, EVERY = 3, 2


class BFloat16Linear(nn.Linear):
    """What mixed precision makes of a linear layer, in one process."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # as torch calls it
        assert self.bias is not None
        return F.linear(input.bfloat16(), self.weight.bfloat16(), self.bias.bfloat16())


class Net(nn.Module):
    """`pre` and `head` are in no plan of tensor parallelism; `up` and `down` are."""

    def __init__(self, hidden: int, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.pre, self.up = linear(6, 6), linear(6, hidden)
        self.down, self.head = linear(hidden, 6), linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.down(torch.relu(self.up(self.pre(x)))))
        return out


class FromSummands(Net):
    """`up` gets a tensor of which each rank has a summand."""

    mesh: DeviceMesh

    def forward(self, x: Tensor) -> Tensor:
        summand = DTensor.from_local(self.pre(x), self.mesh, [Partial()], run_check=False)
        up = self.up(summand).redistribute(placements=[Replicate()]).to_local()
        out: Tensor = self.head(self.down(torch.relu(up)))
        return out


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to spread a model over processes.

    Attributes:
        shard: spreads a model over that many processes.
        hidden: its width; one that does not divide makes shards of several sizes.
        jointly: so many ranks one after the other work on the same micro-batch.
        alone: the layers that compute in one process what this computes in several.
        evaluates: whether there is a forward pass without gradients before recording begins.
        repeats: whether the halves of `up` and `down` are equal, as are then the ranks' pieces.
    """

    shard: Callable[[Net, int], nn.Module]
    hidden: int = 8
    jointly: int = 1
    alone: type[nn.Linear] = nn.Linear
    evaluates: bool = False
    repeats: bool = False


def _ddp(net: Net, _: int) -> nn.Module:
    return DistributedDataParallel(net)


def _fsdp(net: Net, mesh: DeviceMesh, **options: Any) -> Net:
    for layer in (net.up, net.down):
        fully_shard(layer, mesh=mesh, **options)
    fully_shard(net, mesh=mesh, **options)
    return net


def _mesh(world: int) -> DeviceMesh:
    return init_device_mesh("cpu", (world,))


def _grid() -> DeviceMesh:
    return init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))


def _mixed(net: Net, world: int) -> Net:
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    return _fsdp(net, _mesh(world), mp_policy=policy)


def _tensor(net: Net, mesh: DeviceMesh) -> Net:
    is_even = net.up.out_features % mesh.size() == 0
    plan: dict[str, ParallelStyle] = {
        "up": ColwiseParallel(use_local_output=is_even),  # torch makes no DTensor of uneven pieces
        "down": RowwiseParallel(),
    }
    parallelize_module(net, mesh, plan)
    return net


def _summands(net: Net, world: int) -> Net:
    alike = FromSummands(net.up.out_features, nn.Linear)
    alike.load_state_dict(net.state_dict())
    alike.mesh = _mesh(world)
    distribute_module(alike.up, alike.mesh)
    return alike


def _fsdp_of_tensor(net: Net, _: int) -> Net:
    grid = _grid()
    return _fsdp(_tensor(net, grid["tensor"]), grid["data"])


def _ddp_of_tensor(net: Net, _: int) -> Net:
    """What is data parallel, by hand: torch's own wrapper does not take a sharded model."""
    grid = _grid()
    group = grid.get_group("data")
    _tensor(net, grid["tensor"])
    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: _average(p, group))
    return net


def _average(parameter: Tensor, group: dist.ProcessGroup) -> None:
    gradient = part(parameter.grad)  # type: ignore[arg-type]
    dist.all_reduce(gradient, group=group)
    gradient /= 2


def _compiled(net: nn.Module) -> nn.Module:
    """Whole, without a break."""
    torch.compiler.reset()
    net.compile(backend="aot_eager", fullgraph=True)
    return net


def _compiled_blocks(net: Net) -> Net:
    """Layer by layer; ``fully_shard`` breaks the graph, for its own hooks are not compiled."""
    torch.compiler.reset()
    for layer in (net.up, net.down):
        layer.compile(backend="aot_eager")
    return net


CASES: dict[str, Case] = {
    "ddp": Case(shard=_ddp),
    "fsdp": Case(shard=lambda net, world: _fsdp(net, _mesh(world))),
    "fsdp, uneven": Case(shard=lambda net, world: _fsdp(net, _mesh(world)), hidden=7),
    "fsdp, evaluated": Case(shard=lambda net, world: _fsdp(net, _mesh(world)), evaluates=True),
    "fsdp, bfloat16": Case(shard=_mixed, hidden=7, alone=BFloat16Linear),
    "tensor": Case(shard=lambda net, world: _tensor(net, _mesh(world)), jointly=2),
    "tensor, repeated": Case(
        shard=lambda net, world: _tensor(net, _mesh(world)), jointly=2, repeats=True
    ),
    "tensor, uneven": Case(
        shard=lambda net, world: _tensor(net, _mesh(world)), hidden=7, jointly=2
    ),
    "tensor, compiled": Case(
        shard=lambda net, world: _compiled(_tensor(net, _mesh(world))), jointly=2
    ),
}

OF_FOUR: dict[str, Case] = {
    **{name: CASES[name] for name in ("ddp", "fsdp", "fsdp, uneven", "fsdp, bfloat16")},
    "fsdp, copied": Case(shard=lambda net, _: _fsdp(net, _grid()), hidden=7),
    "tensor of 4": Case(shard=lambda net, world: _tensor(net, _mesh(world)), jointly=4),
    "tensor of 4, uneven": Case(
        shard=lambda net, world: _tensor(net, _mesh(world)), hidden=7, jointly=4
    ),
    "tensor of 4, uneven, compiled": Case(
        shard=lambda net, world: _compiled(_tensor(net, _mesh(world))), hidden=7, jointly=4
    ),
    "fsdp, compiled": Case(
        shard=lambda net, world: _fsdp(_compiled_blocks(net), _mesh(world)), hidden=7
    ),
    "fsdp of tensor": Case(shard=_fsdp_of_tensor, jointly=2),
    "ddp of tensor": Case(shard=_ddp_of_tensor, jointly=2),
    "ddp of tensor, uneven": Case(shard=_ddp_of_tensor, hidden=7, jointly=2),
}

SUMMANDS = "tensor, summands"
TABLES: dict[int, dict[str, Case]] = {
    2: {**CASES, SUMMANDS: Case(shard=_summands, jointly=2)},
    4: OF_FOUR,
}


def part(x: Tensor) -> Tensor:
    """What this process holds."""
    return x.to_local() if isinstance(x, DTensor) else x


def batch(step: int, number: int) -> tuple[Tensor, Tensor]:
    """Inputs (4, 6) and the signs (4, 5) of a micro-batch."""
    generator = torch.Generator().manual_seed(100 * step + number)
    signs = 2 * torch.randint(2, (4, 5), generator=generator) - 1
    return torch.randint(-2, 3, (4, 6), generator=generator).float(), signs.float()


def made(case: Case, linear: type[nn.Linear] = nn.Linear) -> Net:
    torch.manual_seed(0)
    net = Net(case.hidden, linear)
    if case.repeats:
        with torch.no_grad():
            for tensor in (net.up.weight, net.up.bias, net.down.weight.T):
                tensor[case.hidden // 2 :] = tensor[: case.hidden // 2]
    snap(net)
    return net


@torch.no_grad()
def snap(net: nn.Module) -> None:
    """Weights to multiples of a quarter between -1 and 1."""
    for parameter in net.parameters():
        values = part(parameter.detach())
        values.copy_((4 * values).round().clamp(-4, 4) / 4)


def train(
    net: nn.Module,
    numbers: Sequence[int],
    record: Callable[[nn.Module], AbstractContextManager[Any]],
    *,
    evaluates: bool = False,
) -> list[Any]:
    """Losses and gradients of each step; several micro-batches are averaged."""
    seen: list[Any] = []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.25)
    if evaluates:
        with torch.no_grad():
            net(batch(0, 0)[0])
    with record(net):
        for step in range(STEPS):
            for number in numbers:
                x, signs = batch(step, number)
                loss = (net(x).float() * signs).sum()
                (loss / len(numbers)).backward()
                seen.append(loss.detach())
            seen += [part(p.grad).clone() for p in net.parameters() if p.grad is not None]
            optimizer.step()
            optimizer.zero_grad()
            snap(net)
    return seen


def alone(case: Case, world: int, to: Path) -> None:
    """What one process records that has all micro-batches."""
    net = made(case, case.alone)
    numbers = range(world // case.jointly)
    train(
        _with_undivided(net, len(numbers)), numbers, partial(umup_diag.record, every=EVERY, to=to)
    )


def _with_undivided(net: Net, count: int) -> Net:
    """Gradients of outputs as a process has them that does not divide its loss by the ranks."""

    def multiplied(_: nn.Module, gradients: tuple[Tensor, ...] | Tensor) -> tuple[Tensor, ...]:
        return tuple(each * count for each in gradients)

    net.head.register_full_backward_pre_hook(multiplied)
    for parameter in net.parameters():
        parameter.register_hook(lambda gradient: gradient / count)
    return net


def process(rank: int, world: int, port: int, to: Path) -> None:
    """One of several, through all cases; why one fails is left in a file.

    It leaves without taking the group down: torch's own destructor can hang
    (`umup_diag.measure.ranks`), which `benchmarks.clean_exits` counts.
    """
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=timedelta(seconds=60))
    for name, case in TABLES[world].items():
        folder = to / name
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                _both(case, rank, world, folder)
            except Exception:
                (to / f"{name}.failed.{rank}").write_text(traceback.format_exc())
                continue
        ours = [str(each.message) for each in caught if "umup-diag" in str(each.message)]
        (to / f"{name}.warnings.{rank}").write_text("\n".join(ours))
    os._exit(0)


def _both(case: Case, rank: int, world: int, folder: Path) -> None:
    record = partial(umup_diag.record, every=EVERY, to=folder, strict=True)
    bare, recorded = (
        train(
            case.shard(made(case), world),
            [rank // case.jointly],
            how,
            evaluates=case.evaluates,
        )
        for how in (nullcontext, record)
    )
    assert len(bare) == len(recorded) > STEPS
    assert all(torch.equal(a, b) for a, b in zip(bare, recorded, strict=True))


def run(world: int, to: Path) -> None:
    """All cases of that many processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    processes = [
        context.Process(target=process, args=(rank, world, port, to)) for rank in range(world)
    ]
    for each in processes:
        each.start()
    for each in processes:
        each.join(120)
    for each in processes:
        each.kill()
