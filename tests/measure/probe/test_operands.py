"""A weight is the same whether a layer owns it or an operator takes it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.measure.probe.probe import Probe
from umup_diag.scaling.kinds import Kind

N_IN, N_OUT = 8, 24
X = torch.randn(2, 5, N_IN, generator=torch.Generator().manual_seed(1))
W = torch.randn(N_OUT, N_IN, generator=torch.Generator().manual_seed(2))

#: Ways to write x · Wᵀ with a bare parameter: how it is stored, and how it is used.
WAYS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "linear": (lambda w: w, F.linear),
    "matmul": (lambda w: w.T, lambda x, w: x @ w),
    "transposed": (lambda w: w, lambda x, w: x @ w.T),
    "einsum": (lambda w: w, lambda x, w: torch.einsum("bti,oi->bto", x, w)),
    "einsum of a list": (lambda w: w.T, lambda x, w: torch.einsum("bti,io->bto", [x, w])),
    "bmm": (lambda w: w.T.expand(2, -1, -1), torch.bmm),
    "heads": (
        lambda w: w.T.reshape(N_IN, 3, 8),
        lambda x, w: torch.einsum("bti,ihk->bthk", x, w),
    ),
    "convolution": (
        lambda w: w[:, :, None],
        lambda x, w: F.conv1d(x.transpose(1, 2), w).transpose(1, 2),
    ),
    "addmm": (lambda w: w.T, lambda x, w: torch.addmm(x.new_ones(1), x.flatten(0, 1), w)),
}


class Bare(nn.Module):
    def __init__(self, weight: Tensor, use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.w, self.use = nn.Parameter(weight.clone()), use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(x, self.w)


def gradient_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def measured(model: nn.Module, x: Tensor = X) -> dict[tuple[str, str], float]:
    probe = Probe(model)
    with probe.forward():
        loss = model(x).square().mean()
    probe.at_init(loss)
    records = probe.take()
    loss.backward()
    meter = probe.meter()
    for parameter in model.parameters():
        assert parameter.grad is not None
        meter.before(parameter, parameter.grad)
        with torch.no_grad():
            parameter.sub_(0.1 * gradient_of(parameter))
        meter.after(parameter, {"lr": 0.1})
    records += probe.take()
    return {(record.tensor, record.kind): record.value for record in records}


@pytest.mark.parametrize("way", WAYS)
def test_gain_multiplier_and_fans_of_a_bare_parameter(way: str) -> None:
    stored, use = WAYS[way]
    layer = nn.Linear(N_IN, N_OUT, bias=False)
    with torch.no_grad():
        layer.weight.copy_(W)
    right = measured(nn.Sequential(layer))
    found = measured(Bare(stored(W), use))
    for kind in (Kind.GAIN, Kind.MULTIPLIER):
        assert found["w", kind] == pytest.approx(right["0", kind], rel=1e-5)
    if way not in ("bmm", "addmm"):  # one weight for each sample, and a bias
        assert found["w", Kind.UPDATE_GAIN] == pytest.approx(right["0", Kind.UPDATE_GAIN], rel=1e-4)
    probe = Probe(model := Bare(stored(W), use))
    with probe.forward():
        loss = model(X).sum()
    probe.at_init(loss)
    fans = probe.take()[0].fans
    assert fans is not None
    copies = 2 if way == "bmm" else 1
    assert (fans.fan_in, fans.fan_out) == (N_IN, N_OUT * copies)


def test_a_multiplier_on_either_operand_is_found() -> None:
    on_weight = measured(Bare(W.T, lambda x, w: x @ (w * 0.25)))
    assert on_weight["w", Kind.MULTIPLIER] == pytest.approx(0.25)
    on_input = measured(Bare(W.T, lambda x, w: (x.clone().requires_grad_() * 0.25) @ w))
    assert on_input["w", Kind.INPUT_MULTIPLIER] == pytest.approx(0.25)
    on_output = measured(Bare(W.T, lambda x, w: (x @ w) / 4))
    assert on_output["w", Kind.OUTPUT_MULTIPLIER] == pytest.approx(0.25)


def test_torchs_attention_shows_its_fused_projection_and_its_output() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(N_IN, 2, batch_first=True, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x, x, x, need_weights=False)[0]
            return out

    model = Attention()
    qkv = model.inner.in_proj_weight.detach().clone()
    found = measured(model)
    gain = float((X @ qkv.T).square().mean().sqrt() / X.square().mean().sqrt())
    assert found["inner.in_proj_weight", Kind.GAIN] == pytest.approx(gain, rel=1e-5)
    assert found["inner.out_proj", Kind.GAIN] > 0
    assert found["inner.in_proj_weight", Kind.FEEDS_SOFTMAX] == 1.0


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_recurrent_weight_has_a_gain_by_itself(kind: Callable[..., nn.RNNBase]) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner: nn.RNNBase = kind(N_IN, 16, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x)[0]
            return out

    model = Recurrent()
    weight = dict(model.named_parameters())["inner.weight_hh_l0"].detach().clone()
    white = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(3))
    gain = float((white @ weight.T).square().mean().sqrt())
    assert measured(model)["inner.weight_hh_l0", Kind.GAIN] == pytest.approx(gain, rel=0.02)


def test_what_a_layer_shows_is_not_shown_twice() -> None:
    found = measured(nn.Sequential(nn.Linear(N_IN, N_OUT), nn.Linear(N_OUT, 4)))
    assert sorted(name for name, kind in found if kind is Kind.GAIN) == ["0", "1"]


def test_a_weight_used_beside_its_layer_is_two_uses_with_two_names() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(16, N_IN)

        def forward(self, tokens: Tensor) -> Tensor:
            return F.linear(self.embedding(tokens), self.embedding.weight) * 0.125

    found = measured(Tied(), torch.arange(12).view(2, 6))
    assert found["embedding", Kind.MULTIPLIER] == pytest.approx(1.0)
    assert found["embedding.weight", Kind.OUTPUT_MULTIPLIER] == pytest.approx(0.125)
    assert found["embedding.weight", Kind.UPDATE_GAIN] > 0
    assert ("embedding.weight", Kind.LOSS_CHANGE) not in found


def test_a_norms_gain_is_what_it_multiplies_by() -> None:
    model = nn.Sequential(nn.LayerNorm(N_IN), nn.Linear(N_IN, 2))
    with torch.no_grad():
        dict(model.named_parameters())["0.weight"].fill_(3.0)
    assert measured(model)["0.weight", Kind.GAIN] == pytest.approx(3.0)


def test_a_zero_start_has_a_multiplier_too() -> None:
    class Half(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 0.5 * F.linear(x, self.weight) + self.bias

    layer = Half(N_IN, N_OUT)
    nn.init.zeros_(layer.weight)
    found = measured(nn.Sequential(layer, nn.Linear(N_OUT, 2)))
    assert found["0", Kind.MULTIPLIER] == pytest.approx(0.5)
    assert found["0", Kind.GAIN] == 0.0


def test_bags_of_indices_have_a_multiplier() -> None:
    bags = nn.Sequential(nn.EmbeddingBag(16, N_IN, mode="sum"), nn.Linear(N_IN, 2))
    found = measured(bags, torch.arange(12).view(2, 6))
    assert found["0", Kind.MULTIPLIER] == pytest.approx(1.0)
