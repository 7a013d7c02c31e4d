"""The audit in two processes, under DDP and FSDP 2, says what it says of the model alone."""

import multiprocessing as mp
import os
import socket
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import umup_diag
from reference_model import mup

WORLD, WRAPPERS = 2, ("ddp", "fsdp2")
POWERS = (-1.0, 0.0)  #: of width in the FFN's rates: right, and not scaled


def trained(width: int, how: str, power: float = -1.0) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The reference model with its groups; the FFN's rates go as width to a power."""
    torch.manual_seed(0)
    model: Any = mup.build(width, depth=1, head_dim=16)
    wrapped: nn.Module = model
    if how == "ddp":
        wrapped = DistributedDataParallel(model)
    elif how == "fsdp2":
        mesh = init_device_mesh("cpu", (WORLD,))
        for layer in model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    groups = mup.parameter_groups(model, optimizer="adam", lr=2.0**-10)
    ffn = {id(parameter) for parameter in model.layers[0].ffn.parameters()}
    for group in groups:
        if id(group["params"][0]) in ffn:
            group["lr"] *= (width / 64) ** (power + 1.0)
    return wrapped, torch.optim.Adam(groups)


def said(how: str, power: float) -> dict[str, Any]:
    audit = umup_diag.audit(*trained(128, how, power), base=trained(64, how, power))
    table = audit.frame().set_index("parameter")
    return {
        "verdict": str(audit.verdict),
        "off": sorted({each.tensor for each in audit.result.findings if each.verdict != "PASS"}),
        "lr": table["lr"].to_dict(),
        "fan_in": table["fan_in"].to_dict(),
    }


def process(rank: int, port: int, answers: Any) -> None:
    """One of the two; it leaves without taking the group down, as torch's destructor can hang."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    answers.put((rank, {how: [said(how, power) for power in POWERS] for how in WRAPPERS}))
    answers.close()
    answers.join_thread()
    dist.barrier()
    os._exit(0)


def test_every_rank_says_what_one_process_says_of_the_whole_model() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    answers = context.Queue()
    started = [context.Process(target=process, args=(rank, port, answers)) for rank in range(WORLD)]
    for each in started:
        each.start()
    found = dict(answers.get(timeout=240) for _ in started)
    for each in started:
        each.join(60)
    alone = [said("alone", power) for power in POWERS]
    assert alone[0]["off"] == []
    assert alone[1]["off"] == [f"layers.0.ffn.{name}" for name in ("down", "gate", "up")]
    assert found == {rank: dict.fromkeys(WRAPPERS, alone) for rank in range(WORLD)}
