"""Recording a user's own loop: what counts as a step, what is merged, and that nothing changes."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import umup_diag
from umup_diag.errors import InputError
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording
from umup_diag.scaling.kinds import Kind


class Block(nn.Module):
    """Two linears, recomputed in the backward pass if asked."""

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        if self.checkpointed:
            out: Tensor = checkpoint(self._inner, x, use_reentrant=False)
            return out
        return self._inner(x)

    def _inner(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(torch.relu(self.a(x)))
        return out


def batches(number: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(7)
    return [torch.randn(4, 16, generator=random) for _ in range(number)]


def model(**how: bool) -> Block:
    torch.manual_seed(0)
    return Block(**how)


def step(optimizer: torch.optim.Optimizer, net: nn.Module, *micro: Tensor) -> list[Tensor]:
    losses = []
    for x in micro:
        loss = net(x).square().mean()
        loss.backward()
        losses.append(loss.detach())
    grads = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    optimizer.step()
    optimizer.zero_grad()
    return losses + grads


def frames(folder: Path) -> list[Frame]:
    return Recording.load(folder).frames


def histogram(frame: Frame, tensor: str, kind: Kind) -> CodeHistogram:
    (record,) = (r for r in frame.records if (r.tensor, r.kind) == (tensor, kind))
    return record.histogram


def test_frames_are_of_the_steps_that_are_due_and_hold_all_three_kinds(tmp_path: Path) -> None:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with umup_diag.record(net, every=3, to=tmp_path) as recording:
        for x in batches(7):
            recording.loss(step(optimizer, net, x)[0])
    recorded = frames(tmp_path)
    assert [frame.step for frame in recorded] == [0, 3, 6]
    assert [len(frame.losses) for frame in recorded] == [0, 3, 3]
    records = recorded[0].records
    tensors = [(record.tensor, record.kind) for record in records if not record.is_vector]
    kinds = (Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT)
    assert tensors == [(name, kind) for name in ("a", "b") for kind in kinds]
    vectors = [(record.tensor, record.kind) for record in records if record.is_vector]
    assert vectors == [("a.bias", Kind.WEIGHT), ("b.bias", Kind.WEIGHT)]


def test_recording_changes_no_bit_of_loss_or_gradient(tmp_path: Path) -> None:
    def run(to: Path | None) -> list[Tensor]:
        net = model()
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        if to is None:
            return [each for x in batches(6) for each in step(optimizer, net, x)]
        with umup_diag.record(net, every=2, to=to):
            return [each for x in batches(6) for each in step(optimizer, net, x)]

    bare, recorded = run(None), run(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(bare, recorded, strict=True))


def test_sampled_weights_change_no_bit_and_say_of_how_many_elements_they_are(
    tmp_path: Path,
) -> None:
    def trained(recorded: bool) -> list[Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(16, 640), nn.Linear(640, 512))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with ExitStack() as stack:
            if recorded:
                stack.enter_context(
                    umup_diag.record(net, every=1, to=tmp_path, sample_weights=True, strict=True)
                )
            return [each for x in batches(2) for each in step(optimizer, net, x)]

    assert all(map(torch.equal, trained(True), trained(False)))
    for frame in frames(tmp_path):
        weights = {each.tensor: each for each in frame.records if each.kind == Kind.WEIGHT}
        assert weights["0"].sample is None
        assert weights["0"].histogram.count == 16 * 640
        assert weights["1"].sample is not None
        assert weights["1"].sample.elements == 640 * 512
        assert weights["1"].histogram.count == 65_536


def test_hooks_are_gone_afterwards_also_after_an_exception(tmp_path: Path) -> None:
    net = model()

    def hooks() -> int:
        per_module = (
            len(m._forward_pre_hooks) + len(m._forward_hooks) + len(m._backward_hooks)
            for m in net.modules()
        )
        return sum(per_module)

    def fail() -> None:
        net(batches(1)[0])
        assert hooks() > 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), umup_diag.record(net, every=1, to=tmp_path):
        fail()
    assert hooks() == 0
    assert frames(tmp_path) == []


def test_off_the_cadence_the_model_has_one_hook(tmp_path: Path) -> None:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with umup_diag.record(net, every=100, to=tmp_path):
        step(optimizer, net, *batches(1))
        net(batches(1)[0])
        assert sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in net.modules()) == 1


def test_micro_batches_merge_into_what_one_batch_would_give(tmp_path: Path) -> None:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    parts = batches(3)
    with umup_diag.record(net, every=1, to=tmp_path):
        step(optimizer, net, *parts)
    (frame,) = frames(tmp_path)
    inputs = histogram(frame, "a", Kind.INPUT)
    assert inputs == CodeHistogram.of(torch.cat(parts)).coarsen()
    assert histogram(frame, "a", Kind.WEIGHT).count == 16 * 32  # once, not three times
    assert histogram(frame, "b", Kind.GRAD_OUTPUT).count == 3 * 4 * 16


def test_activation_checkpointing_counts_nothing_twice(tmp_path: Path) -> None:
    found = []
    for checkpointed in (False, True):
        net = model(checkpointed=checkpointed)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with umup_diag.record(net, every=1, to=tmp_path / str(checkpointed)):
            for x in batches(2):
                step(optimizer, net, x)
        found.append(frames(tmp_path / str(checkpointed)))
    assert found[0] == found[1]


def test_two_optimizers_make_one_step(tmp_path: Path) -> None:
    net = model()
    first = torch.optim.SGD(net.a.parameters(), lr=0.1)
    second = torch.optim.SGD(net.b.parameters(), lr=0.1)
    foreign = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with umup_diag.record(net, every=1, to=tmp_path) as recording:
        for x in batches(3):
            net(x).sum().backward()
            foreign.step()
            first.step()
            second.step()
    assert recording.done == 3
    weights = [histogram(each, "b", Kind.WEIGHT) for each in frames(tmp_path)]
    assert weights[0] != weights[1]


def test_evaluation_is_not_recorded(tmp_path: Path) -> None:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with umup_diag.record(net, every=1, to=tmp_path):
        for x in batches(2):
            with torch.no_grad():
                net(torch.full((9, 16), 1e6))
            step(optimizer, net, x)
    assert all(histogram(s, "a", Kind.INPUT).count == 64 for s in frames(tmp_path))


def test_steps_can_be_ended_by_hand(tmp_path: Path) -> None:
    net = model()
    with umup_diag.record(net, every=2, to=tmp_path, manual=True) as recording:
        for x in batches(4):
            recording.step()  # nothing ran since: not a step
            net(x).sum().backward()
            recording.step()
    assert [frame.step for frame in frames(tmp_path)] == [0, 2]


def test_a_recording_goes_on_from_a_step(tmp_path: Path) -> None:
    def run(to: Path, stop: int) -> None:
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        data = batches(6)
        with umup_diag.record(net, every=2, to=to):
            for x in data[:stop]:
                step(optimizer, net, x)
        if stop < 6:
            with (to / Recording.FILE).open("a") as file:
                file.write('{"tensor": "a", "kind"')  # what a kill leaves
            with umup_diag.record(net, every=2, to=to, step=stop):
                for x in data[stop:]:
                    step(optimizer, net, x)

    run(tmp_path / "whole", 6)
    run(tmp_path / "parts", 3)
    assert frames(tmp_path / "whole") == frames(tmp_path / "parts")


class Root(nn.Linear):
    """A model that is itself a layer."""


def test_the_model_may_be_a_layer_itself(tmp_path: Path) -> None:
    net = Root(16, 4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with umup_diag.record(net, every=1, to=tmp_path):
        step(optimizer, net, *batches(2))
    (frame,) = frames(tmp_path)
    counts = {each.kind: each.statistics.count for each in frame.records}
    assert counts == {Kind.INPUT: 128, Kind.WEIGHT: 64, Kind.GRAD_OUTPUT: 32}


def test_what_cannot_be_recorded_says_so(tmp_path: Path) -> None:
    net = model()
    with (
        pytest.raises(InputError, match="nothing was recorded"),
        umup_diag.record(net, to=tmp_path, strict=True),
    ):
        net(batches(1)[0]).sum().backward()
    with pytest.raises(InputError, match="every=0"), umup_diag.record(net, every=0, to=tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot write"),
        umup_diag.record(net, to=tmp_path / "file" / "x", strict=True),
    ):
        pass


def test_an_optimizer_inside_the_backward_pass_is_refused(tmp_path: Path) -> None:
    net = model()
    inner = {p: torch.optim.SGD([p], lr=0.1) for p in net.parameters()}
    for parameter, optimizer in inner.items():
        parameter.register_post_accumulate_grad_hook(lambda p, o=optimizer: o.step())
    with (
        pytest.raises(InputError, match="manual=True"),
        umup_diag.record(net, every=1, to=tmp_path, strict=True),
    ):
        net(batches(1)[0]).sum().backward()
