"""Who feeds whom, found without names."""

from contextlib import AbstractContextManager, ExitStack

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reference_model
from reference_model.llama import Llama
from umup_diag.errors import InputError
from umup_diag.measure.init_pass import observe
from umup_diag.measure.recorder import Recorder
from umup_diag.measure.wiring import WiringRecorder
from umup_diag.recording.wiring import PARTS, Share, Wiring
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.unit_expectations import KINDS


def watch(model: nn.Module, batch: Tensor) -> Wiring:
    recorder = WiringRecorder(model)
    with recorder.watch():
        loss = model.loss(batch) if isinstance(model, Llama) else model(batch).sum()
        loss.backward()
    return recorder.wiring(loss)


def tokens(sequences: int = 32, length: int = 9) -> Tensor:
    return torch.stack([torch.randperm(256)[:length] for _ in range(sequences)])


def test_a_llama_is_wired_as_it_is() -> None:
    wiring = watch(reference_model.umup.build(128), tokens())
    assert wiring.readouts == ("head",)
    assert wiring.consumers["layers.0.ffn.up"] == ("layers.0.ffn.down",)
    assert wiring.consumers["layers.1.ffn.down"] == ("head",)
    assert "layers.1.attention.q" in wiring.consumers["embedding"]
    assert wiring.pooled == {"layers.0.attention.out": (0,), "layers.1.attention.out": (1,)}
    assert wiring.shares["layers.1.attention.k"] == (Share(call=1, part="key"),)
    assert wiring.after(0) == ["layers.0.attention.out"]
    assert len(wiring.calls) == 2
    assert Wiring.decode(wiring.encode()) == wiring


class Fused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(64, 192), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 1, 64)).movedim(-3, 0).transpose(-2, -3)
        out: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).squeeze(-3))
        return out


def test_a_fused_projection_has_three_parts() -> None:
    wiring = watch(Fused(), torch.randn(4, 8, 64))
    assert [share.part for share in wiring.shares["qkv"]] == list(PARTS)
    (call,) = wiring.calls
    assert call.rms.keys() >= {"grad", "grad_query", "grad_key", "grad_value"}
    assert not call.causal
    assert call.multiplier == pytest.approx(1 / 8)


def test_a_frozen_model_has_no_readout() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].requires_grad_(False)
    assert watch(model, torch.randn(2, 4)).readouts == ("1",)


def test_observing_leaves_the_model_as_it_was() -> None:
    model = reference_model.umup.build(128)
    batch = tokens()
    model.loss(batch).backward()
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    other = tokens()
    frame = observe(model, lambda: model.loss(other))
    assert frame.losses == (model.loss(other).item(),)
    after = [p.grad for p in model.parameters()]
    assert all(
        a is not None and b is not None and a.equal(b) for a, b in zip(before, after, strict=True)
    )
    assert not any(module._forward_hooks for module in model.modules())
    assert {record.kind for record in frame.records} >= {Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT}


def test_watching_changes_no_bit_of_loss_or_gradients() -> None:
    batch = tokens()

    def gradients(*watching: AbstractContextManager[None]) -> list[Tensor]:
        model.zero_grad()
        with ExitStack() as stack:
            for each in watching:
                stack.enter_context(each)
            loss = model.loss(batch)
            loss.backward()
        return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]

    model = reference_model.umup.build(128)
    bare = gradients()
    watched = gradients(Recorder(model).step(KINDS), WiringRecorder(model).watch())
    assert len(bare) == len(watched) > 1
    assert all(map(torch.equal, bare, watched))


def test_a_loss_that_does_not_depend_on_the_model_is_an_input_error() -> None:
    with pytest.raises(InputError, match="does not depend on any parameter"):
        observe(nn.Linear(2, 2), lambda: torch.zeros(()))
