"""The family: its numbers, its derivative, and its text are the same law."""

import math

import numpy as np
import pytest

from umup_diag.scaling.formula import log_interpolate
from umup_diag.scaling.interpolation import LawFamily, Limit, Point
from umup_diag.scaling.op_theory import general_families, theory_of
from umup_diag.scaling.scale_laws import LAWS, harmonic

POINTS: list[Point] = [
    {"seq_len": s, "head_dim": d, "alpha": a}
    for s in (64, 1024)
    for d in (16, 128)
    for a in (0.25, 1.0, 8.0)
]
ATTENTION = theory_of("attention", "output", list(POINTS[0])).families[0]
CASES = {
    "attention": ATTENTION,
    "attention gradient": theory_of("attention", "gradient of q", list(POINTS[0])).families[0],
    "pinned": LawFamily(upper=Limit(), lower=Limit(), ratios=ATTENTION.ratios[:1], coefficient=4.0),
    **{f"general {i}": f for i, f in enumerate(general_families(list(POINTS[0])))},
}


def constants(family: LawFamily) -> tuple[list[float], np.ndarray]:
    values = [0.5 + 0.1 * i for i in range(len(family.constants))]
    pairs = zip(values, family.logarithmic, strict=True)
    return values, np.array([math.log(v) if is_log else v for v, is_log in pairs])


@pytest.mark.parametrize("family", CASES.values(), ids=CASES)
def test_the_texts_are_the_law(family: LawFamily) -> None:
    values, theta = constants(family)
    sigma = np.exp(family.bind(POINTS).log_sigma(theta))
    names = {**vars(math), "log_interpolate": log_interpolate}
    scope: dict[str, object] = dict(vars(math))
    exec(f"def law(seq_len, head_dim, alpha): {family.python(values)}", scope)
    law = scope["law"]
    assert callable(law)
    for point, expected in zip(POINTS, sigma, strict=True):
        # Texts show four digits.
        assert eval(family.expression(values), names, dict(point)) == pytest.approx(expected, 1e-3)
        assert law(**point) == pytest.approx(expected, 1e-3)


@pytest.mark.parametrize("family", CASES.values(), ids=CASES)
def test_the_jacobian_is_the_derivative(family: LawFamily) -> None:
    bound = family.bind(POINTS)
    _, theta = constants(family)
    step = 1e-6
    for i in range(len(theta)):
        nudge = np.eye(len(theta))[i] * step
        difference = bound.log_sigma(theta + nudge) - bound.log_sigma(theta - nudge)
        np.testing.assert_allclose(bound.jacobian(theta)[:, i], difference / (2 * step), atol=1e-8)


def test_the_published_attention_law_is_a_member_but_for_its_flat_limit() -> None:
    bound = ATTENTION.bind(POINTS)
    weight, _, log_lower = bound.split(np.array([math.log(4), 1.0, 0.0]))
    for point, w, flat in zip(POINTS, weight, np.exp(log_lower), strict=True):
        s = point["seq_len"]
        assert w == pytest.approx(1 / (1 + 4 * point["head_dim"] / point["alpha"] ** 2))
        assert flat == pytest.approx(math.sqrt(harmonic(int(s)) / s), rel=3e-5)


@pytest.mark.parametrize("quantity", ["gradient of q", "gradient of k"])
def test_the_flat_limit_of_the_gradients_is_the_exact_sum(quantity: str) -> None:
    for op in ("attention", "full-attention"):
        lower = theory_of(op, quantity, list(POINTS[0])).families[0].lower
        assert lower is not None
        for point in POINTS:
            s = int(point["seq_len"])
            keys = range(1, s + 1) if op == "attention" else [s] * s
            mean_square = sum((1 / n) * (1 - 1 / n) for n in keys) / s
            exact = point["alpha"] / math.sqrt(point["head_dim"]) * math.sqrt(mean_square)
            assert lower.known.of(point) == pytest.approx(exact, rel=3e-5)


def test_every_law_that_theory_names_exists_and_takes_the_parameters() -> None:
    for op, quantity, parameters in (
        ("attention", "output", {"seq_len": 64, "head_dim": 16, "alpha": 1.0}),
        ("gated-silu", "gradient of x_gate", {"alpha": 1.0}),
        ("relu", "output", {}),
        ("cross-entropy", "gradient of logits", {"vocab_size": 64}),
    ):
        laws = theory_of(op, quantity, list(parameters)).laws
        assert laws
        assert all(law(**parameters) > 0 for law in laws)
    assert LAWS["attention"] in theory_of("attention", "gradient of q", ["alpha"]).laws
