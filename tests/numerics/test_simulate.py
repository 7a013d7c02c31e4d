"""Every linear computes with cast operands inside, and is untouched afterwards."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.numerics.formats import E4M3FN, E5M2
from umup_diag.numerics.quantize import quantize
from umup_diag.numerics.recipes import Casts, Recipe
from umup_diag.numerics.simulate import simulate_fp8


class Scaled(nn.Linear):
    """A linear with a forward of its own, as a unit-scaled one has."""

    def forward(self, x: Tensor) -> Tensor:
        out = nn.functional.linear(x, self.weight, self.bias)
        return torch.mul(out, self.in_features**-0.5)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 16)
        self.down = Scaled(16, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = torch.relu_(self.up(input=x))
        return x + cast(Tensor, self.down(hidden))


def run(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    source = x.clone().requires_grad_()
    out = model(source)
    out.square().sum().backward()
    assert source.grad is not None
    found = {"out": out.detach(), "x": source.grad}
    return found | {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def by_hand(linear: nn.Linear, x: Tensor, out_grad: Tensor, casts: Casts, scale: float) -> Any:
    assert casts.input is not None
    assert casts.weight is not None
    assert casts.grad_output is not None
    xq, wq = quantize(x, casts.input), quantize(linear.weight, casts.weight)
    out = nn.functional.linear(xq, wq, linear.bias) * scale
    gq = quantize(out_grad, casts.grad_output) * scale
    return out, gq @ wq, gq.T @ xq


@pytest.mark.parametrize(("kind", "scale"), [(nn.Linear, 1.0), (Scaled, 8**-0.5)])
def test_one_linear_equals_the_same_by_hand(kind: Callable[..., nn.Linear], scale: float) -> None:
    model = nn.Sequential(kind(8, 4))
    x, out_grad = torch.randn(5, 8, requires_grad=True), torch.randn(5, 4)
    recipe: Recipe = {("0", "input"): E5M2, ("0", "weight"): "e4m3fn", ("*", "grad_output"): E5M2}
    with simulate_fp8(model, recipe) as plan:
        out = model(x)
    out.backward(out_grad)  # outside: the casts are in the graph
    assert plan == {"0": Casts(input=E5M2, weight=E4M3FN, grad_output=E5M2)}
    want, want_x, want_w = by_hand(model[0], x.detach(), out_grad, plan["0"], scale)  # type: ignore[arg-type]
    weight = model[0].weight
    assert isinstance(weight, nn.Parameter)
    assert x.grad is not None
    assert weight.grad is not None
    torch.testing.assert_close(out, want, rtol=0, atol=0)
    torch.testing.assert_close(x.grad, want_x)
    torch.testing.assert_close(weight.grad, want_w)


@pytest.mark.parametrize("recipe", ["workshop", "final", "all-e4m3"])
def test_a_model_changes_inside_and_is_as_before_outside(recipe: str) -> None:
    model, x = nn.Sequential(Block(), Block(), nn.Linear(8, 3)), torch.randn(4, 8)
    parameters = dict(model.named_parameters())
    keys, instances = list(model.state_dict()), [set(m.__dict__) for m in model.modules()]
    before = run(model, x)
    with simulate_fp8(model, recipe):
        assert list(model.state_dict()) == keys
        inside = run(model, x)
        assert all(model.get_parameter(name) is p for name, p in parameters.items())
        assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    after = run(model, x)
    assert [set(m.__dict__) for m in model.modules()] == instances
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor)
        assert not torch.equal(inside[name], tensor)
        assert inside[name].shape == tensor.shape


def test_recipe_none_changes_nothing() -> None:
    model, x = Block(), torch.randn(4, 8)
    before = run(model, x)
    with simulate_fp8(model, "none"):
        inside = run(model, x)
    assert all(torch.equal(inside[name], tensor) for name, tensor in before.items())


def test_an_exception_removes_everything() -> None:
    model, x = Block(), torch.randn(4, 8)
    before = run(model, x)
    with pytest.raises(ZeroDivisionError), simulate_fp8(model):
        raise ZeroDivisionError
    with simulate_fp8(model), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(torch.randn(4, 7))
    assert all(torch.equal(run(model, x)[name], tensor) for name, tensor in before.items())
    assert isinstance(model.up.weight, nn.Parameter)


def test_hooks_see_what_is_about_to_be_cast() -> None:
    """Registered before or after, in either pass: hooks run around the casts."""
    model, x = nn.Sequential(nn.Linear(8, 4)), torch.randn(5, 8)
    out_grad = torch.randn(5, 4)
    seen: dict[str, Tensor] = {}

    def watch(tag: str) -> None:
        def see_input(_: nn.Module, args: tuple[Tensor]) -> None:
            seen[f"{tag} before"] = args[0]

        def see_output(_: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
            seen[f"{tag} after"] = args[0]
            out.register_hook(lambda gradient: seen.__setitem__(f"{tag} gradient", gradient))

        model[0].register_forward_pre_hook(see_input)
        model[0].register_forward_hook(see_output)

    watch("early")
    with simulate_fp8(model, "all-e4m3"):
        watch("late")
        model(x).backward(out_grad)
    assert len(seen) == 6
    for name, tensor in seen.items():
        assert torch.equal(tensor, out_grad if name.endswith("gradient") else x), name


def test_an_optimizer_trains_the_real_weights() -> None:
    model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(64, 8)
    target = x @ torch.randn(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    with simulate_fp8(model):
        for _ in range(60):
            optimizer.zero_grad()
            loss = (model(x) - target).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    weight = model[0].weight
    assert isinstance(weight, nn.Parameter)
    assert not torch.equal(weight, quantize(weight, E4M3FN))


def test_tied_weights_and_bfloat16() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 8), "head": nn.Linear(8, 5, bias=False)})
    model["head"].weight = model["embedding"].weight
    model.bfloat16()
    with simulate_fp8(model, "all-e4m3"):
        out = model["head"](model["embedding"](torch.arange(5)))
        out.sum().backward()
    assert out.dtype is torch.bfloat16
    assert model["embedding"].weight is model["head"].weight


def test_what_cannot_be_cast_is_one_clear_error() -> None:
    with pytest.raises(InputError, match=r"ReLU has no nn\.Linear"), simulate_fp8(nn.ReLU()):
        pass
    attention = nn.TransformerEncoderLayer(8, 2)
    with pytest.raises(InputError, match=r"self_attn\.out_proj"), simulate_fp8(attention):
        pass
    with simulate_fp8(attention, {("linear?", "weight"): E4M3FN}):
        pass
    computed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    with (
        simulate_fp8(computed),
        pytest.raises(InputError, match="weight of 0 is computed"),
    ):
        computed(torch.randn(1, 2))
    with (
        pytest.raises(InputError, match="no linear layer of the model"),
        simulate_fp8(Block(), {("*.nothing", "input"): E4M3FN}),
    ):
        pass
