"""Two processes record what one would: DDP and FSDP 2, on the CPU with gloo."""

import multiprocessing as mp
import os
import socket
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import umup_diag
from benchmarks import clean_exits
from umup_diag.errors import InputError
from umup_diag.measure import ranks
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord

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
    """One of the two; it leaves without taking the group down.

    torch's own destructor can hang (`umup_diag.measure.ranks`). What was recorded is the question
    here; whether recorded loops leave as cleanly as bare ones is `test_a_recorded_loop_leaves…`.
    """
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    net = model()
    if how == "ddp":
        net = DistributedDataParallel(net)
    else:
        for layer in net:  # type: ignore[attr-defined]
            if isinstance(layer, nn.Linear):
                fully_shard(layer, mesh=_mesh())
        fully_shard(net, mesh=_mesh())
    loop(net, [rank], to)
    os._exit(0)  # an exception above ends in another exit code


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
    for each in processes:
        each.kill()
    assert [each.exitcode for each in processes] == [0] * WORLD
    one, two = frames(tmp_path / "one"), frames(tmp_path / "two")
    assert [each.step for each in one] == [each.step for each in two] == [0, 2]
    for alone, together in zip(one, two, strict=True):
        assert by_name(alone) == by_name(together)


def record(size: int) -> TensorRecord:
    return TensorRecord(tensor="x", kind="input", statistics=CodeHistogram.of(torch.randn(size)))


def test_parts_of_any_size_arrive_whole_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranks, "CHUNK", 100)
    store = dist.HashStore()  # type: ignore[attr-defined]
    sender, receiver = (ranks._Mailbox(store=store) for _ in range(2))
    for size in (10, 5000):
        sent = [record(size), replace(record(size), kind="grad_output")]
        sender.post(3, sent)
        assert receiver.collect(3) == sent
        receiver.merges += 1
    assert store.num_keys() == 0


def test_a_part_that_never_comes_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "PATIENCE", timedelta(milliseconds=20))
    with pytest.raises(InputError, match="rank 1 sent no part of a recorded step within"):
        ranks._Mailbox(store=dist.HashStore()).collect(1)  # type: ignore[attr-defined]


@pytest.mark.slow  # half a minute of forks; it counts what a race in torch makes random
def test_a_recorded_loop_leaves_as_cleanly_as_a_bare_one() -> None:
    clean_exits.prepare()
    cases, runs = clean_exits.cases(0.2), 25
    found = {name: clean_exits.count(case, runs, 20) for name, case in cases.items()}
    for how in ("", "+pause"):
        bare, recorded = found["bare" + how], found["recorded" + how]
        assert recorded["lost"] == recorded["failed"] == 0
        assert recorded["hang"] <= bare["hang"] + 3 * (max(bare["hang"], 1)) ** 0.5
