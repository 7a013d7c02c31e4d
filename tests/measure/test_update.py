"""Whatever a step does to its gradients, the loss change is by the gradient of the loss."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import Schedule, train
from umup_diag.measure.update import gradients
from umup_diag.recording import Frame
from umup_diag.scaling.kinds import Kind

X = torch.linspace(-1.0, 1.0, 8).reshape(4, 2)
LR = 0.125


def squares(model: Any, batch: Any) -> Tensor:
    out: Tensor = model(batch)
    return out.square().mean()


def subject(step: Any = None, optimizer: Any = None) -> Subject:
    return Subject(
        name="it",
        build=lambda width: nn.Linear(2, width),
        loss=squares,
        batches=lambda **_: [X],
        optimizer=optimizer or (lambda model: torch.optim.SGD(model.parameters(), lr=LR)),
        step=step,
    )


def frames(tested: Subject, *, record: bool = True) -> list[Frame]:
    schedule = Schedule(steps=2, optimizer=None, lr=None, batch_size=4, seq_len=1, record=record)
    run = train(
        tested, Corpus.load(), schedule, width=3, seed=0, stream=5, device=torch.device("cpu")
    )
    return list(run)


def measured(tested: Subject, kind: Kind) -> dict[str, float]:
    return {r.tensor: r.value for r in frames(tested)[1].records if r.kind == kind}


def plain(model: Any, batch: Any, optimizer: Any) -> None:
    squares(model, batch).backward()
    optimizer.step()
    optimizer.zero_grad()


def clipped(model: Any, batch: Any, optimizer: Any) -> None:
    squares(model, batch).backward()
    for parameter in model.parameters():
        parameter.grad *= 0.25
    optimizer.step()


def accumulated(model: Any, batch: Any, optimizer: Any) -> None:
    for row in batch.chunk(4):
        (squares(model, row) / 4).backward()
    optimizer.step()


def scaled(model: Any, batch: Any, optimizer: Any) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(squares(model, batch)).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize(
    ("step", "passed"), [(plain, 1.0), (clipped, 0.25), (accumulated, 1.0), (scaled, 1.0)]
)
def test_a_step_of_ones_own_is_measured_by_the_gradient_of_the_loss(
    step: Any, passed: float
) -> None:
    usual = measured(subject(), Kind.LOSS_CHANGE)
    found = measured(subject(step), Kind.LOSS_CHANGE)
    assert found == pytest.approx({name: passed * x for name, x in usual.items()}, rel=1e-5)
    got = measured(subject(step), Kind.GRADIENT_PASSED)
    assert got == pytest.approx(dict.fromkeys(usual, passed), rel=1e-5)


def test_a_fused_optimizer_that_unscales_by_itself_is_seen_unscaled() -> None:
    fused = subject(scaled, lambda model: torch.optim.SGD(model.parameters(), lr=LR, fused=True))
    passed = measured(fused, Kind.GRADIENT_PASSED)
    assert passed == pytest.approx({"weight": 1.0, "bias": 1.0}, rel=1e-5)


def test_clipping_in_the_optimizer_is_seen() -> None:
    def clipping(model: nn.Module) -> torch.optim.Optimizer:
        made = torch.optim.SGD(model.parameters(), lr=LR)

        def clip(*_: Any) -> None:
            clip_grad_norm_(model.parameters(), 1e-3)

        made.register_step_pre_hook(clip)
        return made

    usual = measured(subject(), Kind.LOSS_CHANGE)
    found = measured(subject(optimizer=clipping), Kind.LOSS_CHANGE)
    passed = measured(subject(optimizer=clipping), Kind.GRADIENT_PASSED)
    assert all(0 < share < 0.1 for share in passed.values())
    expected = {name: usual[name] * share for name, share in passed.items()}
    # a weight of ½ is rounded to 2⁻²⁵, and moves by 10⁻⁴
    assert found == pytest.approx(expected, rel=2.0**-25 / 1e-4 * 2)


@pytest.mark.parametrize("step", [None, plain, accumulated])
def test_losses_are_the_same_bit_for_bit_with_and_without_recording(step: Any) -> None:
    watched, bare = frames(subject(step)), frames(subject(step), record=False)
    assert [f.losses for f in watched] == [f.losses for f in bare]
    assert watched[0].losses > watched[-1].losses


def test_a_scale_that_overflows_is_lowered_and_changes_no_bit() -> None:
    weight = torch.tensor([3.0, -2.0], requires_grad=True)
    (found,) = gradients((weight * 1e33).sum(), [weight])
    assert found is not None
    assert torch.equal(found, torch.full((2,), 1e33))
    (exact,) = torch.autograd.grad(weight.square().sum(), [weight])
    (found,) = gradients(weight.square().sum(), [weight])
    assert found is not None
    assert torch.equal(found, exact)


def test_small_gradients_in_float16_are_kept() -> None:
    weight = torch.ones(2, requires_grad=True)
    half = (weight.half() * 1.0).float().sum() * 1e-9
    (found,) = gradients(half, [weight])
    assert found == pytest.approx([1e-9, 1e-9], rel=1e-2)


def test_what_a_step_or_optimizer_does_wrong_is_said() -> None:
    def broken(model: Any, batch: Any, optimizer: Any) -> None:
        raise ValueError("no such thing")

    said = r"step\(model, batch, optimizer\) raised ValueError at .*: no"
    with pytest.raises(InputError, match=said):
        frames(subject(broken))
    with pytest.raises(InputError, match="returned int, which has no step"):
        frames(subject(optimizer=lambda _: 3))
