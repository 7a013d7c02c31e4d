"""What a branch is multiplied by where it joins its stream, however that is written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from umup_diag.measure.probe.residual_sum import Sums, branch_multipliers

Join = Callable[[Tensor, Tensor], Tensor]


class Own(torch.autograd.Function):
    """A quarter forward, anything backward."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 0.25

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


def in_place(x: Tensor, branch: Tensor) -> Tensor:
    x = x.clone()
    x += 0.25 * branch
    return x


def own(x: Tensor, branch: Tensor) -> Tensor:
    quarter = Own.apply(branch)  # type: ignore[no-untyped-call]
    assert isinstance(quarter, Tensor)
    return x + quarter


def found(join: Join, *, out: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
    torch.manual_seed(0)
    emb, up, down, head = nn.Embedding(8, 6), nn.Linear(6, 5), nn.Linear(5, 6), nn.Linear(6, 8)
    with Sums() as sums:
        x = emb(torch.arange(8))
        inner = up(x)
        branch = down(inner.relu())
        logits = head(join(x, branch) if out is None else out(branch))
    outs = {"emb": x, "up": inner, "down": branch, "head": logits}
    return branch_multipliers(logits.sum(), outs, sums)


JOINS: dict[str, Join] = {
    "constant": lambda x, branch: x + 0.25 * branch,
    "the other way round": lambda x, branch: branch / 4 + x,
    "in place": in_place,
    "a skip that is scaled": lambda x, branch: 0.9 * x + branch * 0.25,
    "a trained vector": lambda x, branch: x + branch * nn.Parameter(torch.full((6,), 0.25)),
    "an op with its own gradient": own,
    "shapes between": lambda x, branch: x + (branch.view(2, 4, 6) * 0.25).reshape(8, 6),
}


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS.keys())
def test_what_ends_a_branch_and_its_multiplier(join: Join) -> None:
    assert found(join) == {"down": pytest.approx(0.25)}


def test_a_norm_between_is_part_of_what_it_is_multiplied_by() -> None:
    norm = nn.LayerNorm(6)
    multipliers = found(lambda x, branch: x + norm(branch))
    assert set(multipliers) == {"down"}
    assert multipliers["down"] != pytest.approx(1.0, abs=0.05)


def test_a_sum_with_what_is_no_stream_is_no_branch() -> None:
    other = nn.Linear(5, 6)
    given = torch.randn(8, 5)
    assert found(lambda x, branch: branch + other(given)) == {}


def test_without_a_sum_there_is_no_branch() -> None:
    assert found(lambda x, branch: branch) == {}
