from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import reference_model
from umup_diag.measure.recorder import MATMUL_KINDS, Recorder
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind

ALL = frozenset(Kind)


def record(
    model: nn.Module, run: Callable[[], None], kinds: frozenset[Kind] = ALL
) -> dict[tuple[str, str], TensorRecord]:
    recorder = Recorder(model, changes=True)
    with recorder.step(kinds):
        run()
    return {(each.tensor, each.kind): each for each in recorder.take()}


def rms(x: Tensor | None) -> float:
    assert x is not None
    return x.detach().double().square().mean().sqrt().item()


def hooks(model: nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
        for m in model.modules()
    ) + sum(len(p._post_accumulate_grad_hooks or ()) for p in model.parameters())


def test_each_kind_is_what_it_says() -> None:
    layer, x = nn.Linear(8, 4), torch.randn(5, 8)
    out: list[Tensor] = []

    def run() -> None:
        y = layer(x)
        y.retain_grad()
        out.append(y)
        y.square().sum().backward()

    records = record(nn.Sequential(layer), run)
    (y,) = out
    expected = {
        ("0", Kind.INPUT): x,
        ("0", Kind.WEIGHT): layer.weight,
        ("0", Kind.OUTPUT): y,
        ("0", Kind.GRAD_OUTPUT): y.grad,
        ("0", Kind.WEIGHT_GRAD): layer.weight.grad,
        ("0.bias", Kind.WEIGHT): layer.bias,
        ("0.bias", Kind.WEIGHT_GRAD): layer.bias.grad,
    }
    for key, tensor in expected.items():
        assert records[key].histogram.rms == pytest.approx(rms(tensor), rel=1e-6), key
    assert records["0", Kind.UPDATE].histogram.absmax == 0
    assert (records["0", Kind.INPUT].fans, records["0.bias", Kind.WEIGHT].order) == (
        records["0", Kind.WEIGHT].fans,
        records["0", Kind.WEIGHT].order,
    )


@pytest.mark.parametrize("name", ["sp", "umup"])
def test_the_observer_does_not_disturb(name: str) -> None:
    subject = getattr(reference_model, name)
    tokens = torch.randint(256, (2, 17))

    def run(watched: bool) -> list[Tensor]:
        torch.manual_seed(3)
        model = subject.build(64)
        recorder = Recorder(model, changes=True)
        losses = []
        for _ in range(2):
            if watched:
                with recorder.step(ALL):
                    loss = model.loss(tokens)
                    loss.backward()
            else:
                loss = model.loss(tokens)
                loss.backward()
            losses.append(loss.detach())
        return losses + [p.grad for p in model.parameters() if p.grad is not None]

    for bare, watched in zip(run(False), run(True), strict=True):
        assert torch.equal(bare, watched)


def test_hooks_are_gone_after_a_step_and_after_an_exception() -> None:
    model = reference_model.sp.build(64)
    recorder = Recorder(model, changes=True)
    with recorder.step(ALL):
        assert hooks(model) > 0
        model.loss(torch.randint(256, (1, 9))).backward()
    assert hooks(model) == 0

    def fail() -> None:
        with recorder.step(ALL):
            model.loss(torch.full((1, 9), 999))

    with pytest.raises(IndexError):
        fail()
    assert hooks(model) == 0


def test_changes_without_a_start_are_an_error() -> None:
    recorder = Recorder(nn.Linear(4, 4))
    with pytest.raises(ValueError, match="use changes=True"), recorder.step({Kind.UPDATE}):
        pass


def test_gradients_that_come_after_the_step_are_not_counted() -> None:
    layer = nn.Linear(4, 4)
    recorder = Recorder(layer)
    with recorder.step():
        loss = layer(torch.ones(2, 4)).sum()
    loss.backward()
    assert {record.kind for record in recorder.take()} == MATMUL_KINDS - {Kind.GRAD_OUTPUT}


class Twice(nn.Module):
    """One layer called twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.again(self.first(x).relu())
        return out


def test_a_layer_called_twice_is_recorded_over_both_calls() -> None:
    model = Twice()
    records = record(model, lambda: model(torch.randn(3, 4)).sum().backward())
    assert {name for name, _ in records} == {"first", "first.bias"}
    assert records["first", Kind.INPUT].histogram.count == 2 * 3 * 4
    assert records["first", Kind.GRAD_OUTPUT].histogram.count == 2 * 3 * 4
    assert records["first", Kind.WEIGHT].histogram.count == 4 * 4


def test_changes_compare_call_by_call() -> None:
    model = Twice()
    x = torch.randn(3, 4)
    recorder = Recorder(model, changes=True)
    with recorder.step(ALL):
        before = [model.first(x), model(x)]
    with torch.no_grad():
        model.first.weight.add_(0.25)
    with recorder.step(ALL):
        model.first(x)
        model(x)
    histograms = {(each.tensor, each.kind): each.histogram for each in recorder.take()}
    assert histograms["first", Kind.UPDATE].rms == pytest.approx(0.25, rel=1e-6)
    assert histograms["first", Kind.OUTPUT_CHANGE].count == 3 * 3 * 4
    change = model.first(x) - before[0]
    assert histograms["first", Kind.OUTPUT_CHANGE].absmax >= change.abs().max().item() * (1 - 1e-6)


def test_an_output_of_another_shape_has_no_change() -> None:
    """An expert gets other tokens, and fewer or more, once its router has moved."""
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer)
    recorder = Recorder(model, changes=True)
    for tokens in (3, 5):
        with recorder.step(ALL):
            model(torch.randn(tokens, 4))
    kinds = {each.kind for each in recorder.take()}
    assert Kind.OUTPUT in kinds
    assert Kind.OUTPUT_CHANGE not in kinds


class Output(NamedTuple):
    hidden: Tensor
    layers: int


class Odd(nn.Module):
    """Frozen, unused, keyword-called and tuple-returning parts."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.unused = nn.Linear(4, 4)
        self.gain = nn.Parameter(torch.ones(4))
        self.positions = nn.Parameter(torch.randn(6, 4))

    def forward(self, tokens: Tensor) -> Output:
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        return Output(self.frozen(input=x) * self.gain, 3)


def test_frozen_unused_and_odd_modules() -> None:
    model = Odd()
    records = record(model, lambda: model(torch.randint(10, (2, 5))).hidden.sum().backward())
    assert ("embedding", Kind.INPUT) not in records  # tokens are no floats
    assert records["frozen", Kind.INPUT].histogram.count == 2 * 5 * 4
    assert ("frozen", Kind.WEIGHT_GRAD) not in records
    assert ("frozen", Kind.UPDATE) not in records
    assert ("unused", Kind.OUTPUT) not in records
    assert ("unused", Kind.WEIGHT) in records
    assert records["gain", Kind.WEIGHT_GRAD].fans is not None
    positions = records["positions", Kind.WEIGHT].fans
    assert positions is not None
    assert (positions.fan_in, positions.fan_out) == (6, 4)
    order = {row.tensor: row.order for row in records.values()}
    assert order["embedding"] < order["frozen"]


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_activation_checkpointing_counts_nothing_twice(use_reentrant: bool) -> None:
    layer = nn.Linear(4, 4)
    x = torch.randn(3, 4, requires_grad=True)

    def run() -> None:
        checkpoint(layer, x, use_reentrant=use_reentrant).sum().backward()

    records = record(nn.Sequential(layer), run)
    for kind in (Kind.INPUT, Kind.OUTPUT, Kind.GRAD_OUTPUT):
        assert records["0", kind].histogram.count == 3 * 4, kind


class Attend(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.5)


def test_attention_logits_are_seen_inside_the_fused_call() -> None:
    q, k, v = torch.randn(3, 2, 4, 6, 8)
    model = nn.ModuleDict({"block": Attend()})
    records = record(model, lambda: model["block"](q, k, v))
    logits = (q @ k.transpose(-2, -1) * 0.5)[..., torch.ones(6, 6, dtype=torch.bool).tril()]
    found = records["block", Kind.ATTENTION_LOGITS]
    assert found.head_dim == 8
    assert found.histogram.count == logits.numel()
    assert found.histogram.rms == pytest.approx(rms(logits), rel=1e-6)


def test_attention_logits_of_grouped_queries_and_masks() -> None:
    q, k = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8)
    mask = torch.rand(5, 5) < 0.5
    mask[:, 0] = True

    class Grouped(nn.Module):
        def forward(self) -> Tensor:
            return F.scaled_dot_product_attention(q, k, k, attn_mask=mask, enable_gqa=True)

    model = Grouped()
    records = record(model, model)
    logits = q @ k.repeat_interleave(2, dim=1).transpose(-2, -1) / 8**0.5
    expected = logits[mask.expand_as(logits)]
    assert records["", Kind.ATTENTION_LOGITS].histogram.rms == pytest.approx(
        rms(expected), rel=1e-6
    )
