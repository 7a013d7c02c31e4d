"""Attention logits wherever the softmax is: torch's attention, its module, or written out."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.measure.probe.probe import Probe
from umup_diag.scaling.kinds import Kind


class Attention(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.how == "fused":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        logits = q @ k.mT * 8**-0.5
        future = torch.ones(4, 4, dtype=torch.bool).triu(1)
        logits = logits.masked_fill(future, float("-inf"))
        softmax: dict[str, Callable[[], Tensor]] = {
            "method": lambda: logits.softmax(-1),
            "torch": lambda: torch.softmax(logits, -1),
            "functional": lambda: F.softmax(logits, dim=-1),
        }
        weights = softmax[self.how]()
        out: Tensor = weights @ v
        return out


def seen(model: nn.Module, x: Tensor) -> dict[Kind, dict[str, float]]:
    probe = Probe(model)
    with probe.forward():
        loss = model(x).square().mean()
    probe.at_init(loss)
    found: dict[Kind, dict[str, float]] = {}
    for record in probe.take():
        found.setdefault(Kind(record.kind), {})[record.tensor] = record.value
    return found


@pytest.mark.parametrize("how", ["fused", "method", "torch", "functional"])
def test_logits_are_seen_and_what_feeds_them_is_known(how: str) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(Attention(how)), torch.randn(2, 4, 8)
    found = seen(model, x)
    attention = model[0]
    assert isinstance(attention, Attention)
    logits = attention.q(x) @ attention.k(x).mT * 8**-0.5
    visible = logits[torch.ones_like(logits, dtype=torch.bool).tril()]
    square = float(visible.detach().double().square().sum())
    count = visible.numel() if how == "fused" else logits.numel()  # elsewhere masks count as zero
    assert found[Kind.ATTENTION_LOGITS]["0"] == pytest.approx((square / count) ** 0.5, rel=1e-5)
    assert found[Kind.FEEDS_SOFTMAX] == {"0.k": 1.0, "0.q": 1.0}


@pytest.mark.parametrize("weights", [True, False])
def test_torchs_own_attention_module_shows_its_logits(weights: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.attention(x, x, x, need_weights=weights)[0]
            return out

    torch.manual_seed(0)
    model, x = Model(), torch.randn(2, 4, 8)
    found = seen(model, x)
    heads = F.linear(x, model.attention.in_proj_weight).view(2, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
    logits = heads[0] @ heads[1].mT / 2
    expected = float(logits.detach().double().square().mean().sqrt())
    assert found[Kind.ATTENTION_LOGITS]["attention"] == pytest.approx(expected, rel=1e-5)
    assert F.softmax.__module__ == "torch.nn.functional"


def test_a_loss_is_no_attention() -> None:
    assert Kind.ATTENTION_LOGITS not in seen(nn.Linear(3, 3), torch.randn(2, 3))
