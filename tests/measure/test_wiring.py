"""Who feeds whom, found without names."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reference_model
from reference_model.llama import Llama
from umup_diag.errors import InputError
from umup_diag.measure.init_pass import observe
from umup_diag.measure.wiring import Flow, Wiring
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.unit_expectations import Attention, query_gradient


def watch(model: nn.Module, batch: Tensor) -> tuple[Flow, list[Attention | None]]:
    wiring = Wiring(model)
    with wiring.watch():
        loss = model.loss(batch) if isinstance(model, Llama) else model(batch).sum()
        flow = wiring.flow(loss)
        loss.backward()
    return flow, wiring.attention()


def tokens(sequences: int = 32, length: int = 9) -> Tensor:
    return torch.stack([torch.randperm(256)[:length] for _ in range(sequences)])


def test_a_llama_is_wired_as_it_is() -> None:
    flow, calls = watch(reference_model.umup.build(128), tokens())
    assert flow.readouts == {"head"}
    assert flow.consumers["layers.0.ffn.up"] == {"layers.0.ffn.down"}
    assert flow.consumers["layers.1.ffn.down"] == {"head"}
    assert "layers.1.attention.q" in flow.consumers["embedding"]
    assert flow.pooled == {"layers.0.attention.out": (0,), "layers.1.attention.out": (1,)}
    (part,) = flow.parts["layers.1.attention.k"]
    assert (part.call, part.name) == (1, "key")
    assert flow.after(0) == ["layers.0.attention.out"]
    assert len(calls) == 2


class Fused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(64, 192), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 1, 64)).movedim(-3, 0).transpose(-2, -3)
        out: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).squeeze(-3))
        return out


def test_a_fused_projection_has_three_parts() -> None:
    flow, (call,) = watch(Fused(), torch.randn(4, 8, 64))
    assert [part.name for part in flow.parts["qkv"]] == ["query", "key", "value"]
    assert call is not None
    assert not call.causal
    assert call.multiplier == pytest.approx(1 / 8)


def test_a_frozen_model_has_no_readout() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].requires_grad_(False)
    flow, _ = watch(model, torch.randn(2, 4))
    assert flow.readouts == {"1"}


def test_independent_positions_give_the_closed_form() -> None:
    """In the first layer, of tokens that never repeat, what was measured is what is derived."""
    found = []
    for seed in range(4):
        torch.manual_seed(seed)
        _, (call, _) = watch(reference_model.umup.build(256), tokens())
        assert call is not None
        found += [call.query / call.sigma, call.key / call.sigma]
    mean = sum(found) / len(found)
    assert mean == pytest.approx(query_gradient(seq_len=8, head_dim=64), rel=0.1)


def test_observing_leaves_the_model_as_it_was() -> None:
    model = reference_model.umup.build(128)
    batch = tokens()
    model.loss(batch).backward()
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    other = tokens()
    loss, rows = observe(model, lambda: model.loss(other))
    assert loss == model.loss(other).item()
    after = [p.grad for p in model.parameters()]
    assert all(
        a is not None and b is not None and a.equal(b) for a, b in zip(before, after, strict=True)
    )
    assert not any(module._forward_hooks for module in model.modules())
    assert {row.kind for row in rows} >= {Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT}


def test_a_loss_that_does_not_depend_on_the_model_is_an_input_error() -> None:
    with pytest.raises(InputError, match="does not depend on any parameter"):
        observe(nn.Linear(2, 2), lambda: torch.zeros(()))
