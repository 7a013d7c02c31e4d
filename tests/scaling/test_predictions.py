"""Every slope that theory asserts for a pre-norm Llama, against what the exponents imply."""

import pytest

from umup_diag.scaling import schemes
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import Prediction, WidthTheory
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import MUP, SCHEMES, UMUP, Scheme, UpdateRule

EMBEDDING, HIDDEN, HEAD = Role.INPUT, Role.HIDDEN, Role.OUTPUT
NAMES = ("sp", "ntk", "mup", "umup")

FEATURES = [scheme for scheme in SCHEMES.values() if scheme.is_mup]

AT_INIT = {
    (Kind.INPUT, HIDDEN): (0, 0, 0, 0),
    (Kind.INPUT, HEAD): (0, 0, 0, 0),
    (Kind.OUTPUT, EMBEDDING): (0, 0, 0, 0),
    (Kind.OUTPUT, HIDDEN): (0, 0, 0, 0),
    (Kind.OUTPUT, HEAD): (0, 0, -0.5, -0.5),
    (Kind.WEIGHT, EMBEDDING): (0, 0, 0, 0),
    (Kind.WEIGHT, HIDDEN): (-0.5, 0, -0.5, 0),
    (Kind.ATTENTION_LOGITS, HIDDEN): (0, 0, 0, 0),
    (Kind.GRAD_OUTPUT, HEAD): (0, 0, 0, 0),
    (Kind.GRAD_OUTPUT, HIDDEN): (-0.5, -0.5, -1, 0),
    (Kind.WEIGHT_GRAD, EMBEDDING): (-0.5, -0.5, -1, 0),
    (Kind.WEIGHT_GRAD, HIDDEN): (-0.5, -1, -1, 0),
    (Kind.WEIGHT_GRAD, HEAD): (0, -0.5, -1, 0),
}
AFTER = {
    (UpdateRule.ADAM, Kind.UPDATE, EMBEDDING): (0, 0, 0, -0.5),
    (UpdateRule.ADAM, Kind.UPDATE, HIDDEN): (0, 0, -1, -0.5),
    (UpdateRule.ADAM, Kind.UPDATE, HEAD): (0, 0, 0, 0),
    (UpdateRule.ADAM, Kind.OUTPUT_CHANGE, EMBEDDING): (0, 0, 0, -0.5),
    (UpdateRule.ADAM, Kind.OUTPUT_CHANGE, HIDDEN): (1, 0.5, 0, 0),
    (UpdateRule.ADAM, Kind.OUTPUT_CHANGE, HEAD): (1.5, 1, 0, 0),
    (UpdateRule.SGD, Kind.UPDATE, EMBEDDING): (-0.5, -0.5, 0, -0.5),
    (UpdateRule.SGD, Kind.UPDATE, HIDDEN): (-0.5, -1, -1, -0.5),
    (UpdateRule.SGD, Kind.UPDATE, HEAD): (0, -0.5, 0, 0),
    (UpdateRule.SGD, Kind.OUTPUT_CHANGE, EMBEDDING): (-0.5, -0.5, 0, -0.5),
    (UpdateRule.SGD, Kind.OUTPUT_CHANGE, HIDDEN): (0.5, -0.5, 0, 0),
    (UpdateRule.SGD, Kind.OUTPUT_CHANGE, HEAD): (1, 0, 0, 0),
}
TABLE = [
    (name, rule, kind, role, slope)
    for (rule, kind, role), slopes in {
        **{(rule, *key): slopes for key, slopes in AT_INIT.items() for rule in UpdateRule},
        **AFTER,
    }.items()
    for name, slope in zip(NAMES, slopes, strict=True)
]


@pytest.mark.parametrize(("name", "rule", "kind", "role", "slope"), TABLE)
def test_the_exponents_imply_the_slope(
    name: str, rule: UpdateRule, kind: Kind, role: Role, slope: float
) -> None:
    prediction = WidthTheory(scheme=schemes.get(name), update_rule=rule).predict(kind, role)
    assert prediction is not None
    assert prediction.slope == slope


@pytest.mark.parametrize(
    ("scheme", "logits", "gradient"),
    [("sp", 0, -0.5), ("ntk", 0, -0.5), ("mup", -0.5, -1.5), ("umup", -0.5, -0.5)],
)
def test_a_head_dimension_that_grows_with_width(
    scheme: str, logits: float, gradient: float
) -> None:
    """With the number of heads fixed, q and k get their gradients through a wider dot product."""
    theory = WidthTheory(
        scheme=schemes.get(scheme), update_rule=UpdateRule.ADAM, head_dim_growth=1.0
    )
    assert theory.predict(Kind.ATTENTION_LOGITS, HIDDEN) == Prediction.of(logits)
    hidden = theory.predict(Kind.GRAD_OUTPUT, HIDDEN)
    assert hidden is not None
    assert hidden.slowest == gradient


@pytest.mark.parametrize(
    ("rule", "rate", "update", "change"),
    [("muon", 0.0, -0.5, 0.0), ("muon-kimi", -0.5, -0.5, 0.0), ("soap", 0.0, -0.5, 0.0)],
)
def test_orthogonalised_updates(rule: str, rate: float, update: float, change: float) -> None:
    """RMS of ΔW: -0.5 for a gradient of full rank, half a power less for one of a few tokens."""
    theory = WidthTheory(scheme=MUP, update_rule=UpdateRule(rule))
    assert MUP.rows[HIDDEN].lr(UpdateRule(rule)) == rate
    assert theory.predict(Kind.UPDATE, HIDDEN) == Prediction.of(update, update - 0.5)
    assert theory.predict(Kind.OUTPUT_CHANGE, HIDDEN) == Prediction.of(change)
    constant = WidthTheory(scheme=schemes.SP, update_rule=UpdateRule(rule))
    assert constant.output_change(HIDDEN).slope == change - rate


@pytest.mark.parametrize("rule", UpdateRule)
@pytest.mark.parametrize("scheme", FEATURES, ids=lambda scheme: scheme.name)
def test_operator_norms_of_hidden_layers_are_constant_where_features_are_learned(
    scheme: Scheme, rule: UpdateRule
) -> None:
    theory = WidthTheory(scheme=scheme, update_rule=rule)
    assert theory.predict(Kind.WEIGHT_NORM, HIDDEN) == Prediction.of(0.0)
    update = theory.predict(Kind.UPDATE_NORM, HIDDEN)
    assert update is not None
    assert update.slope == 0.0
    assert theory.predict(Kind.UPDATE_NORM, Role.VECTOR) is None


@pytest.mark.parametrize(
    ("name", "embedding", "readout", "hidden_update"),
    [("sp", 0, 0.5, 1), ("ntk", 0, 0.5, 0.5), ("mup", 0, 0, 0), ("umup", 0, 0, 0)],
)
def test_operator_norms_of_other_matrices(
    name: str, embedding: float, readout: float, hidden_update: float
) -> None:
    """√(fan-in/fan-out)·(√fan-in + √fan-out): of both terms, one leads where a fan stays."""
    theory = WidthTheory(scheme=schemes.get(name), update_rule=UpdateRule.ADAM)
    assert theory.predict(Kind.WEIGHT_NORM, EMBEDDING) == Prediction(embedding, embedding - 0.5)
    assert theory.predict(Kind.WEIGHT_NORM, HEAD) == Prediction(readout, readout - 0.5)
    assert theory.predict(Kind.UPDATE_NORM, HIDDEN) == Prediction.of(hidden_update)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_logits_approach_their_slope_from_half_a_power_below(scheme: Scheme) -> None:
    prediction = WidthTheory(scheme=scheme, update_rule=UpdateRule.ADAM).output_change(HEAD)
    assert prediction.slope - prediction.slowest == 0.5


def test_theory_is_silent_about_what_tokens_have_no_rms_of() -> None:
    theory = WidthTheory(scheme=UMUP, update_rule=UpdateRule.ADAM)
    assert theory.predict(Kind.INPUT, EMBEDDING) is None
    assert theory.predict(Kind.OUTPUT, Role.VECTOR) is None
