"""What ranks send each other, and how they leave; what they record is in `test_sharded`."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from benchmarks import clean_exits
from umup_diag.errors import InputError
from umup_diag.measure import ranks
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import TensorRecord


def part(size: int, kind: str) -> ranks._Part:
    histogram = CodeHistogram.of(torch.randn(size))
    return ranks._Part(TensorRecord(tensor="x", kind=kind, statistics=histogram), (1, histogram))


def test_parts_of_any_size_arrive_whole_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranks, "CHUNK", 100)
    store = dist.HashStore()  # type: ignore[attr-defined]
    sender, receiver = (ranks._Mailbox(store=store) for _ in range(2))
    for size in (10, 5000):
        sent = [part(size, "input"), part(size, "grad_output")]
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
