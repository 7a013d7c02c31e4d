import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.scaling.optimizers import OPTIMIZERS, get, parameter_group
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import MUP, SP, UMUP, Scheme


def group(scheme: Scheme, *, width: int, optimizer: str = "adamw") -> dict[str, float]:
    scales = scheme.scales(Role.HIDDEN, fan_in=width, fan_out=width, width=width, layers=2)
    return parameter_group(
        torch.nn.Parameter(torch.zeros(1)),
        scheme,
        scales,
        optimizer=optimizer,
        lr=1.0,
        width=width,
        weight_decay=0.1,
        eps=1e-8,
    )


@pytest.mark.parametrize("scheme", [MUP, UMUP], ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("width", [128, 2048])
def test_independent_weight_decay_holds_lr_times_decay(scheme: Scheme, width: int) -> None:
    ours = group(scheme, width=width)
    assert ours["lr"] * ours["weight_decay"] == pytest.approx(0.1)


def test_sp_keeps_pytorchs_weight_decay() -> None:
    assert group(SP, width=2048)["weight_decay"] == 0.1


def test_epsilon_goes_like_the_gradients() -> None:
    assert group(MUP, width=512)["eps"] == pytest.approx(1e-8 / 4)
    assert group(UMUP, width=512)["eps"] == 1e-8
    assert "eps" not in group(MUP, width=512, optimizer="sgd")


def test_an_unknown_optimizer_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match="no optimizer 'muon'; there are adam, adamw, sgd"):
        get("muon")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps(name: str) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    get(name).build([{"params": [weight], "lr": 0.5}]).step()
    assert (weight < 1).all()
