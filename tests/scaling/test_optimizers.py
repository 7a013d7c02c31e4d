import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.scaling.optimizers import OPTIMIZERS, get


def test_an_unknown_optimizer_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match="no optimizer 'muon'; there are adam, adamw, sgd"):
        get("muon")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps(name: str) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    get(name).build([{"params": [weight], "lr": 0.5}]).step()
    assert (weight < 1).all()
