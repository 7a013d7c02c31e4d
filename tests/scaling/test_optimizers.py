from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from umup_diag.errors import InputError
from umup_diag.scaling.optimizers import OPTIMIZERS, get, rule_of
from umup_diag.scaling.roles import Role
from umup_diag.scaling.update_rules import RULES, UpdateRule


def parameter(*shape: int) -> torch.nn.Parameter:
    weight = torch.nn.Parameter(torch.ones(shape))
    weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return weight


def test_an_unknown_optimizer_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match="no optimizer 'adm'; there are adam, adamw, sgd, muon"):
        get("adm")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_all_its_groups(name: str) -> None:
    matrix, vector = parameter(4, 4), parameter(3)
    groups: list[dict[str, Any]] = [{"params": [each], "lr": 0.5} for each in (matrix, vector)]
    if get(name).needs_groups:
        groups = [group | {"use_muon": group["params"][0] is matrix} for group in groups]
    get(name).build(groups).step()
    assert (matrix != 1).all()
    assert (vector != 1).all()


@pytest.mark.parametrize("name", ["muon", "muon-kimi"])
def test_muon_and_adamw_are_one_optimizer(name: str) -> None:
    matrix, vector = parameter(8, 4), parameter(3)

    def build() -> torch.optim.Optimizer:
        return get(name).build(
            [
                {"params": [matrix], "lr": 0.5, "use_muon": True},
                {"params": [vector], "lr": 0.25, "use_muon": False, "eps": 1e-12},
            ]
        )

    optimizer = build()
    schedule = LambdaLR(optimizer, lambda _: 0.0)
    optimizer.step()
    schedule.step()
    assert (matrix == 1).all()  # each part reads the rate that the scheduler wrote
    assert (vector == 1).all()
    again = build()
    again.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in again.param_groups] == [0.0, 0.0]
    for group in again.param_groups:
        group["lr"] = 0.5
    again.step()
    assert (matrix != 1).all()
    assert (vector != 1).all()
    again.zero_grad()
    assert matrix.grad is None
    assert vector.grad is None


def test_muon_wants_to_be_told_which_matrices() -> None:
    with pytest.raises(InputError, match="by use_muon = True or False in every group"):
        get("muon").build([{"params": [parameter(4, 4)], "lr": 1.0}])


@pytest.mark.parametrize("name", ["muon", "muon-kimi"])
def test_torchs_muon_is_sized_as_its_rule_says(name: str) -> None:
    """‖ΔW‖_R over the powers of width that `RULES` has, for hidden matrices of two widths."""
    rule = get(name).update_rule
    norms, sizes = [], []
    for width in (64, 256):
        weight = torch.nn.Parameter(torch.zeros(2 * width, width))
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        get(name).build([{"params": [weight], "lr": 1.0, "use_muon": True}]).step()
        with torch.no_grad():
            norms.append(torch.linalg.matrix_norm(weight, 2).item() * 0.5**0.5)
            sizes.append(weight.square().mean().sqrt().item())
    # Newton-Schulz leaves singular values within 0.7 and 1.2: a third of an octave either way
    assert norms[1] / norms[0] == pytest.approx(4 ** RULES[rule].norm[Role.HIDDEN], rel=0.25)
    assert sizes[1] / sizes[0] == pytest.approx(4 ** RULES[rule].rms[Role.HIDDEN], rel=0.25)


@pytest.mark.parametrize(
    ("name", "group", "rule"),
    [
        ("AdamW", {}, UpdateRule.ADAM),
        ("NAdam", {}, UpdateRule.ADAM),
        ("SGD", {}, UpdateRule.SGD),
        ("MuonWithAuxAdam", {"use_muon": True}, UpdateRule.MUON),
        ("MuonWithAuxAdam", {"use_muon": False}, UpdateRule.ADAM),
        ("Muon", {"adjust_lr_fn": "match_rms_adamw"}, UpdateRule.MUON_KIMI),
        ("DistributedShampoo", {}, UpdateRule.SHAMPOO),
        ("SOAP", {}, UpdateRule.SOAP),
        ("Home", {}, None),
    ],
)
def test_an_optimizers_class_says_its_rule(
    name: str, group: dict[str, Any], rule: UpdateRule | None
) -> None:
    assert rule_of(type(name, (), {}), group) is rule
