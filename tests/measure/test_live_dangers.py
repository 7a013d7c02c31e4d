"""Recording is never a danger to a training run, whatever happens to the model or the recording."""

import copy
import io
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import umup_diag
from umup_diag.errors import InputError
from umup_diag.measure.live import LiveRecording
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording
from umup_diag.scaling.kinds import Kind

STEPS = 4


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def batch(step: int) -> Tensor:
    return torch.randn(6, 16, generator=torch.Generator().manual_seed(step))


def frames(folder: Path) -> list[Frame]:
    return Recording.load(folder).frames


def hooks(net: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in net.modules())


Pass = Callable[[nn.Module, Tensor], Tensor]


def train(net: nn.Module, run: Pass, steps: int = STEPS) -> list[Tensor]:
    """Losses and gradients of each step."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen = []
    for step in range(steps):
        loss = run(net, batch(step))
        loss.backward()
        gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
        seen += [loss.detach(), *gradients]
        optimizer.step()
        optimizer.zero_grad()
    return seen


def plain(net: nn.Module, x: Tensor) -> Tensor:
    loss: Tensor = net(x).square().mean()
    return loss


def deep_copied(net: nn.Module, x: Tensor) -> Tensor:
    loss = plain(net, x)
    copy.deepcopy(net)(x)
    return loss


def averaged(net: nn.Module, x: Tensor) -> Tensor:
    AveragedModel(net).update_parameters(net)
    return plain(net, x)


def saved_whole(net: nn.Module, x: Tensor) -> Tensor:
    loss = plain(net, x)
    file = io.BytesIO()
    torch.save(net, file)
    assert b"umup_diag.measure" not in file.getvalue()  # readable where it is not installed
    file.seek(0)
    torch.load(file, weights_only=False)(x)
    return loss


def per_sample(net: nn.Module, x: Tensor) -> Tensor:
    """Gradients for each sample, then the step."""
    parameters: dict[str, Tensor] = dict(net.named_parameters())

    def loss(values: dict[str, Tensor], one: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(net, values, (one,)).square().mean()
        return out

    torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    torch.func.jvp(lambda at: net(at), (x,), (x,))
    return plain(net, x)


def traced(net: nn.Module, x: Tensor) -> Tensor:
    torch.jit.trace(net, x, check_trace=False)
    return plain(net, x)


def evaluated(net: nn.Module, x: Tensor) -> Tensor:
    loss = plain(net, x)
    with torch.no_grad():
        net(x)
    with torch.inference_mode():
        net(x)
    return loss


def replicated(net: nn.Module, x: Tensor) -> Tensor:
    """What DataParallel does, on one device: replicas of the model, each in a thread."""

    def replica(module: nn.Module) -> nn.Module:
        made: nn.Module = module._replicate_for_data_parallel()
        for name, child in module._modules.items():
            made._modules[name] = replica(child) if child is not None else None
        for name, parameter in module._parameters.items():
            setattr(made, name, parameter * 1.0 if parameter is not None else None)
        return made

    parts = x.chunk(2)
    outs: list[Any] = [None, None]

    def run(at: int, net: nn.Module) -> None:
        outs[at] = net(parts[at])

    threads = [threading.Thread(target=run, args=(at, replica(net))) for at in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    loss: Tensor = torch.cat(outs).square().mean()
    return loss


def in_parts(net: nn.Module, x: Tensor) -> Tensor:
    loss: Tensor = torch.cat([net(part) for part in x.chunk(2)]).square().mean()
    return loss


#: Name → what happens in a step, and what must be recorded of it as if that had happened.
SITUATIONS: dict[str, tuple[Pass, Pass]] = {
    "deep-copied": (deep_copied, plain),
    "averaged": (averaged, plain),
    "saved whole": (saved_whole, plain),
    "per-sample gradients": (per_sample, plain),
    "traced": (traced, plain),
    "evaluated in between": (evaluated, plain),
    "replicas in threads": (replicated, in_parts),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_training_is_bit_identical_and_recorded_as_if_nothing_had_happened(
    tmp_path: Path, situation: str
) -> None:
    run, as_if = SITUATIONS[situation]
    with umup_diag.record(model(), every=2, to=tmp_path / "as if", strict=True) as recording:
        train(recording._model, as_if)
    net = model()
    bare = train(model(), run)
    with umup_diag.record(net, every=2, to=tmp_path / "this", strict=True):
        recorded = train(net, run)
    assert len(bare) == len(recorded)
    assert all(torch.equal(a, b) for a, b in zip(bare, recorded, strict=True))
    assert hooks(net) == 0
    for expected, found in zip(frames(tmp_path / "as if"), frames(tmp_path / "this"), strict=True):
        assert expected.step == found.step
        assert expected.records == found.records


def test_a_copy_is_not_recorded(tmp_path: Path) -> None:
    net = model()
    with umup_diag.record(net, every=1, to=tmp_path) as recording:
        other = copy.deepcopy(net)
        train(other, plain)
        assert recording.done == 0
        assert hooks(other) == hooks(net) > 0
        train(net, plain, steps=1)
        train(other, plain)
    (frame,) = frames(tmp_path)
    inputs = next(each for each in frame.records if each.kind == Kind.INPUT)
    assert inputs.histogram.count == 6 * 16


def test_models_in_several_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Recordings begin and end in one thread while optimizers step in another."""
    errors: list[BaseException] = []
    first = model()  # the seed is every thread's
    bare = train(copy.deepcopy(first), plain, steps=20)

    def work(name: int) -> None:
        try:
            for round_ in range(10):
                net = copy.deepcopy(first)
                folder = tmp_path / f"{name}-{round_}"
                with umup_diag.record(net, every=2, to=folder, strict=True):
                    seen = train(net, plain, steps=20 if round_ == 0 else 3)
                if round_ == 0:
                    assert all(torch.equal(a, b) for a, b in zip(bare, seen, strict=True))
                    assert [frame.step for frame in frames(folder)] == list(range(0, 20, 2))
        except BaseException as error:  # a thread's own end is nobody's
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def full_disk(folder: Path) -> None:
    (folder / Recording.FILE).unlink()
    (folder / Recording.FILE).symlink_to("/dev/full")


@contextmanager
def warned_once(match: str) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(each.message) for each in caught if match in str(each.message)], caught
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("happen", "reason"), [(no_folder, "No such file"), (full_disk, "No space left")]
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_recording_that_cannot_be_written_is_warned_of_once(
    tmp_path: Path, happen: Callable[[Path], None], reason: str, strict: bool
) -> None:
    bare = train(model(), plain)

    def run() -> list[Tensor]:
        net = model()
        with umup_diag.record(net, every=1, to=tmp_path / "run", strict=strict):
            happen(tmp_path / "run")
            return train(net, plain)

    if strict:
        with pytest.raises(InputError, match=reason):
            run()
        return
    with warned_once(reason):
        recorded = run()
    assert all(torch.equal(a, b) for a, b in zip(bare, recorded, strict=True))


def test_a_folder_that_cannot_be_made_does_not_keep_a_job_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        warned_once("cannot write"),
        umup_diag.record(model(), every=1, to=tmp_path / "file" / "run") as recording,
    ):
        assert hooks(recording._model) == 0
        train(recording._model, plain)


def test_an_error_inside_a_hook_does_not_reach_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = train(model(), plain)
    calls, nothing = [], CodeHistogram.empty()

    def fail(x: Tensor) -> CodeHistogram:
        calls.append(x.shape)
        if len(calls) > 8:  # in the second step
            raise torch.OutOfMemoryError("out of memory")
        return nothing

    monkeypatch.setattr("umup_diag.measure.recorded_step.CodeHistogram.of", fail)
    net = model()
    with (
        warned_once("from step 1 on; training goes on. OutOfMemoryError"),
        umup_diag.record(net, every=1, to=tmp_path),
    ):
        recorded = train(net, plain)
    assert all(torch.equal(a, b) for a, b in zip(bare, recorded, strict=True))
    assert [frame.step for frame in frames(tmp_path)] == [0]


def test_frames_are_written_and_not_kept(tmp_path: Path) -> None:
    with umup_diag.record(model(), every=1, to=tmp_path) as recording:
        train(recording._model, plain)
        assert recording.recording is not None
        assert recording.recording.frames == []
    assert len(frames(tmp_path)) == STEPS


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_resumed_job_without_a_step_that_is_due_ends_well(
    tmp_path: Path, step: int, steps: int
) -> None:
    net = model()
    with umup_diag.record(net, every=100, to=tmp_path):
        train(net, plain, steps=step)
    with umup_diag.record(net, every=100, to=tmp_path, step=step) as recording:
        train(net, plain, steps=steps)
    assert recording.done == step + steps
    assert [frame.step for frame in frames(tmp_path)] == [0]


@pytest.mark.parametrize("left", [None, "", '{"schema": 2, "comm'])
def test_a_job_that_was_killed_before_its_first_line_starts_anew(
    tmp_path: Path, left: str | None
) -> None:
    if left is not None:
        (tmp_path / Recording.FILE).write_text(left)
    net = model()
    with umup_diag.record(net, every=2, to=tmp_path, step=3, strict=True):
        train(net, plain)
    assert [frame.step for frame in frames(tmp_path)] == [4, 6]


def test_something_else_in_the_folder_is_not_replaced_by_a_resumed_job(tmp_path: Path) -> None:
    (tmp_path / Recording.FILE).write_text('{"schema": 1, "notes": "another program\'s"}\n')
    net = model()
    with (
        warned_once("earlier version"),
        umup_diag.record(net, every=2, to=tmp_path, step=3),
    ):
        train(net, plain)
    assert "another" in (tmp_path / Recording.FILE).read_text()


def test_a_listener_that_fails_is_ours_to_bear(tmp_path: Path) -> None:
    def listen(_: Frame) -> None:
        raise ZeroDivisionError

    live = LiveRecording(
        model(),
        Recording(command="record", settings={}, environment={}),
        every=1,
        listeners=[listen],
    )
    with warned_once("ZeroDivisionError"), live.attached(manual=False):
        train(live._model, plain)
