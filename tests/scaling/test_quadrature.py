"""Quadrature against closed forms, and the published laws against quadrature."""

import math

import pytest

from umup_diag.scaling import quadrature
from umup_diag.scaling.quadrature import gaussian_rms
from umup_diag.scaling.scale_laws import LAWS

ALPHAS = [2.0 ** (i / 4) for i in range(-24, 25)]  # 1/64 … 64


@pytest.mark.parametrize(("power", "moment"), [(0, 1), (1, 1), (2, 3), (3, 15), (4, 105)])
def test_moments_of_the_normal(power: int, moment: int) -> None:
    assert gaussian_rms(lambda x: x**power) == pytest.approx(math.sqrt(moment), rel=1e-10)


def test_a_sharp_step_is_not_stepped_over() -> None:
    assert gaussian_rms(lambda x: float(x > 0), width=1e-3) == pytest.approx(math.sqrt(0.5), 1e-9)


def test_limits_in_alpha() -> None:
    for rms in (quadrature.silu_rms, quadrature.gelu_rms, quadrature.silu_grad_rms):
        assert rms(1e-4) == pytest.approx(0.5, rel=1e-6)
        assert rms(1e3) == pytest.approx(math.sqrt(0.5), rel=1e-3)


def test_gelu_in_closed_form() -> None:
    # E x² Φ(x)² = 1/3 + 1/(2 π √3): integrate by parts twice, E Φ(x)² being 1/3.
    exact = math.sqrt(1 / 3 + 1 / (2 * math.pi * math.sqrt(3)))
    assert quadrature.gelu_rms(1.0) == pytest.approx(exact, rel=1e-9)


def test_the_papers_gated_silu_is_within_six_tenths_of_a_percent() -> None:
    errors = [LAWS["gated-silu"](alpha=a) / quadrature.silu_rms(a) - 1 for a in ALPHAS]
    assert 0.0055 < max(map(abs, errors)) < 0.0061
    assert ALPHAS[min(range(len(errors)), key=errors.__getitem__)] == pytest.approx(3.36, abs=0.01)
