"""Two processes record what one would: DDP and FSDP 2, on the CPU with gloo."""

import multiprocessing as mp
import os
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import umup_diag
from umup_diag.recording import Frame, Recording

WORLD, STEPS = 2, 3


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 31), nn.ReLU(), nn.Linear(31, 16))


def batch(step: int, rank: int) -> Tensor:
    return torch.randn(4, 16, generator=torch.Generator().manual_seed(100 * step + rank))


def loop(net: nn.Module, ranks: list[int], to: Path) -> None:
    """Train on the micro-batches of some ranks; one process that has all of them averages."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with umup_diag.record(net, every=2, to=to):
        for step in range(STEPS):
            for rank in ranks:
                net(batch(step, rank)).square().mean().backward()
            if len(ranks) > 1:
                for parameter in net.parameters():
                    assert parameter.grad is not None
                    parameter.grad /= len(ranks)
            optimizer.step()
            optimizer.zero_grad()


def process(rank: int, how: str, port: int, to: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    try:
        net = model()
        if how == "ddp":
            net = DistributedDataParallel(net)
        else:
            for layer in net:  # type: ignore[attr-defined]
                if isinstance(layer, nn.Linear):
                    fully_shard(layer, mesh=_mesh())
            fully_shard(net, mesh=_mesh())
        loop(net, [rank], to)
    finally:
        dist.destroy_process_group()


def _mesh() -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh("cpu", (WORLD,))


def frames(folder: Path) -> list[Frame]:
    return Recording.load(folder).frames


def by_name(frame: Frame) -> dict[tuple[str, str], Any]:
    return {(each.tensor, each.kind): each.histogram for each in frame.records}


@pytest.mark.parametrize("how", ["ddp", "fsdp2"])
def test_two_ranks_record_exactly_what_one_process_does(tmp_path: Path, how: str) -> None:
    loop(model(), list(range(WORLD)), tmp_path / "one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    processes = [
        context.Process(target=process, args=(rank, how, port, tmp_path / "two"))
        for rank in range(WORLD)
    ]
    for each in processes:
        each.start()
    for each in processes:
        each.join(120)
    assert [each.exitcode for each in processes] == [0] * WORLD
    one, two = frames(tmp_path / "one"), frames(tmp_path / "two")
    assert [each.step for each in one] == [each.step for each in two] == [0, 2]
    for alone, together in zip(one, two, strict=True):
        assert by_name(alone) == by_name(together)
