"""The assertions of `umup_diag.testing`: healthy models pass, faults are named."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import reference_model
from reference_model.llama import Llama
from umup_diag.errors import InputError
from umup_diag.testing import assert_fits_fp8, assert_unit_scale, assert_width_stable


def batch() -> Tensor:
    return torch.stack([torch.randperm(256)[:9] for _ in range(64)])


def loss(model: Llama, tokens: Tensor) -> Tensor:
    return model.loss(tokens)


def test_unit_scale_holds_for_umup() -> None:
    assert_unit_scale(reference_model.umup.build(256), batch(), loss=loss)


def test_unit_scale_does_not_hold_for_mup() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_unit_scale(reference_model.mup.build(256), batch(), loss=loss)
    message = str(raised.value)
    assert message.startswith("the model is not at unit scale, in ")
    assert "FAIL: layers.0.attention.q weight: RMS 0.062" in message
    assert "multiply the initial standard deviation by 16" in message
    assert "… and" in message


def test_an_exception_is_a_range_and_a_stale_one_warns() -> None:
    model = reference_model.umup.build(128)
    with torch.no_grad():
        model.head.weight *= 4
    exceptions = {"head:weight": (3.0, 5.0), "head:output": (0.2, 0.5)}
    with pytest.raises(AssertionError, match=r"layers\.1\.ffn\.down grad_output"):
        assert_unit_scale(model, batch(), loss=loss, exceptions=exceptions)
    with pytest.warns(UserWarning, match="Stale exception head: every tensor"):
        assert_unit_scale(
            reference_model.umup.build(128), batch(), loss=loss, exceptions={"head": (0.0, 1.0)}
        )


def test_no_layer_is_no_pass() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3))

    with pytest.raises(AssertionError, match="nothing was judged"):
        assert_unit_scale(Bare(), batch(), loss=lambda model, _: model.bias.sum())


def test_width_stable_holds_for_mup_and_not_for_sp() -> None:
    widths = (64, 128, 256)

    def adam(scheme: str) -> Callable[[Llama], torch.optim.Optimizer]:
        subject = getattr(reference_model, scheme)

        def optimizer(model: Llama) -> torch.optim.Optimizer:
            return torch.optim.Adam(subject.parameter_groups(model, optimizer="adam", lr=2**-13))

        return optimizer

    assert_width_stable(
        reference_model.mup.build, widths=widths, loss=loss, optimizer=adam("mup"), seeds=3
    )
    with pytest.raises(AssertionError, match=r"(?s)not stable over width.*width slope \+"):
        assert_width_stable(
            reference_model.sp.build, widths=widths, loss=loss, optimizer=adam("sp"), seeds=3
        )


def test_fp8_fits_umup_and_not_a_gradient_that_is_too_small() -> None:
    model = reference_model.umup.build(128)
    assert_fits_fp8(model, batch(), loss=loss)
    assert all(parameter.grad is None for parameter in model.parameters())

    def quiet(model: Llama, tokens: Tensor) -> Tensor:
        return model.loss(tokens) * 2.0**-20

    with pytest.raises(AssertionError, match=r"ffn.up grad_output.*: .* elements become zero"):
        assert_fits_fp8(model, batch(), loss=quiet)
    with torch.no_grad():
        model.head.weight[0, 0] = 1000.0
    with pytest.raises(
        AssertionError, match=r"head weight.*: absmax 1000 is beyond the largest E4M3FN"
    ):
        assert_fits_fp8(model, batch(), loss=loss)


def test_fp8_asks_for_a_known_format_and_kind() -> None:
    with pytest.raises(InputError):
        assert_fits_fp8(
            reference_model.umup.build(64), batch(), loss=loss, formats={"weight": "e9m9"}
        )
    with pytest.raises(InputError, match="there is no kind 'wieght'; did you mean 'weight'"):
        assert_fits_fp8(
            reference_model.umup.build(64), batch(), loss=loss, formats={"wieght": "e5m2"}
        )
