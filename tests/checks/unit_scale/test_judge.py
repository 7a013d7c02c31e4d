"""The unit-scale check: healthy models pass, planted faults fail where they were planted."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import reference_model
from tests.checks.coordcheck.planted_faults import SEEN, UNSEEN, Fault, subject
from umup_diag.checks.result import Result, Verdict
from umup_diag.checks.unit_scale.judge import ScaleException, ScaleFinding, judge, judge_rows
from umup_diag.errors import InputError
from umup_diag.measure.init_pass import InitRow, InitSettings, record
from umup_diag.measure.subject import Subject
from umup_diag.scaling.kinds import Kind


def check(
    offer: Any,
    tmp_path: Path,
    *,
    width: int = 128,
    seeds: int = 3,
    seed: int = 0,
    build: Mapping[str, Any] | None = None,
) -> Result:
    build = build or {}
    settings = InitSettings(
        model="it",
        build=build,
        width=(width,),
        seeds=seeds,
        batches=1,
        batch_size=32,
        seq_len=8,
        seed=seed,
    )
    tested = Subject(name="it", build=lambda at: offer.build(at, **build), loss=offer.loss)
    extra = {"tolerance": math.sqrt(2), "exceptions": []}
    return judge(record(tested, settings, tmp_path, device=torch.device("cpu"), extra=extra))


def failing(result: Result) -> list[tuple[str, str]]:
    return [(f.tensor, f.kind) for f in result.findings if f.verdict is Verdict.FAIL]


def test_umup_passes(tmp_path: Path) -> None:
    result = check(reference_model.umup, tmp_path)
    assert result.verdict is Verdict.PASS, result.findings[:3]
    assert {finding.kind for finding in result.findings} == {
        "input",
        "weight",
        "output",
        "grad_output",
        "attention_logits",
    }


@pytest.mark.parametrize("name", ["mup", "sp"])
def test_mup_and_sp_fail_in_gradients_and_weights(name: str, tmp_path: Path) -> None:
    failed = failing(check(getattr(reference_model, name), tmp_path))
    assert ("layers.0.attention.q", "weight") in failed
    assert ("layers.0.ffn.down", "grad_output") in failed


@pytest.mark.parametrize("name", SEEN)
def test_a_planted_fault_is_seen_where_it_is(name: str, tmp_path: Path) -> None:
    fault = SEEN[name]
    failed = failing(check(subject(fault), tmp_path, width=fault.width))
    assert any(fault.tensor in tensor and kind == fault.kind for tensor, kind in failed), failed


def test_a_fault_in_one_layer_is_first_named_there(tmp_path: Path) -> None:
    """The backward multiplier of the down-projection is met by the gradients of up and gate."""
    for name in [name for name in SEEN if "in one layer" in name]:
        fault = SEEN[name]
        first = check(subject(fault), tmp_path, width=fault.width).findings[0]
        assert first.tensor in {fault.tensor, fault.tensor.replace("up", "gate")}
        assert first.kind == fault.kind


@pytest.mark.parametrize("name", UNSEEN)
def test_what_it_cannot_see_passes_or_is_told_nothing_of(name: str, tmp_path: Path) -> None:
    """Held to what the table says: were it to see one, the table would have to be mended."""
    fault, _, _ = UNSEEN[name]
    healthy = Fault(plant=lambda _: None, alpha_residual=fault.alpha_residual)
    faulty = failing(check(subject(fault), tmp_path, width=fault.width))
    assert faulty == failing(check(subject(healthy), tmp_path, width=fault.width)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_umup_passes_with_any_seed(seed: int, tmp_path: Path) -> None:
    assert check(reference_model.umup, tmp_path, seed=seed).verdict is Verdict.PASS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "depth"),
    [
        (128, 2),
        (128, 8),
        (128, 32),
        (512, 2),
        (512, 8),
        (512, 32),
        (2048, 2),
        (2048, 8),
        (2048, 32),
    ],
)
def test_umup_passes_at_any_width_and_depth(width: int, depth: int, tmp_path: Path) -> None:
    result = check(reference_model.umup, tmp_path, width=width, seeds=5, build={"depth": depth})
    assert result.verdict is Verdict.PASS, result.findings[:3]


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    "name",
    ["alpha_residual", "alpha_residual_attn_ratio", "alpha_ffn_act", "alpha_attn_softmax"],
)
def test_umup_passes_at_any_hyperparameter(name: str, value: float, tmp_path: Path) -> None:
    result = check(reference_model.umup, tmp_path, build={name: value})
    assert result.verdict is Verdict.PASS, result.findings[:3]


def row(rms: float = 1.0, **fields: Any) -> InitRow:
    given: dict[str, Any] = {
        "width": 128,
        "seed": 0,
        "step": 0,
        "batch": 0,
        "tensor": "layers.0.up",
        "kind": Kind.INPUT,
        "order": 0,
        "fan_in": 4,
        "fan_out": 4,
        "head_dim": None,
        "count": 10,
        "rms": rms,
        "absmax": rms,
        "nonfinite": 0,
        "expected_low": 1.0,
        "expected_high": 1.0,
        "because": None,
    }
    return InitRow(**{**given, **fields})


def one(*rows: InitRow, **options: Any) -> ScaleFinding:
    findings, _ = judge_rows(rows, **options)
    (finding,) = findings
    return finding


def test_the_interval_decides() -> None:
    def over_seeds(*rms: float) -> Verdict:
        return one(*(row(each, seed=seed) for seed, each in enumerate(rms))).verdict

    assert over_seeds(1.0, 1.01, 0.99) is Verdict.PASS
    assert over_seeds(1.9, 2.0, 2.1) is Verdict.FAIL
    assert over_seeds(0.5, 1.0, 2.0) is Verdict.INCONCLUSIVE
    assert over_seeds(1.0) is Verdict.INCONCLUSIVE
    assert one(row(1.0), alone=True).verdict is Verdict.PASS


def test_the_interval_is_students() -> None:
    logs = (0.1, 0.2, 0.3)
    finding = one(*(row(2**log, seed=seed) for seed, log in enumerate(logs)))
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert finding.interval == pytest.approx((2 ** (0.2 - half), 2 ** (0.2 + half)), rel=1e-6)


def test_the_fix_is_the_factor_that_corrects() -> None:
    finding = one(row(0.25, expected_low=0.5, expected_high=0.5), alone=True)
    assert finding.factor == pytest.approx(2)
    assert finding.fix == "multiply its input by 2"


def test_zero_and_non_finite_fail() -> None:
    assert one(row(0.0), alone=True).cause == "zero at init"
    broken = one(row(1.0, nonfinite=3), alone=True)
    assert (broken.verdict, broken.cause) == (Verdict.FAIL, "not finite")


def test_a_bias_of_zeros_is_not_judged() -> None:
    findings, notes = judge_rows([row(0.0, kind=Kind.WEIGHT, fan_in=None)], alone=True)
    assert not findings
    assert notes == ["Not judged: layers.0.up: zero at init."]


def test_causes_run_forward_then_backward_and_what_follows_is_said_to() -> None:
    rows = [
        row(9.0, tensor=tensor, order=order, kind=kind)
        for tensor, order in (("a", 0), ("b", 1))
        for kind in (Kind.GRAD_OUTPUT, Kind.OUTPUT, Kind.INPUT)
    ]
    findings, _ = judge_rows(rows, alone=True)
    assert [(f.tensor, str(f.kind)) for f in findings] == [
        ("a", "input"),
        ("a", "output"),
        ("b", "input"),
        ("b", "output"),
        ("b", "grad_output"),
        ("a", "grad_output"),
    ]
    assert [f.cause for f in findings if f.fix is None] == [
        "follows from input of a",
        "follows from input of b",
        "follows from grad_output of b",
    ]


def test_another_factor_has_a_cause_of_its_own() -> None:
    rows = [
        row(rms, tensor=tensor, order=order, kind=Kind.GRAD_OUTPUT)
        for tensor, order, rms in (("a", 0, 64.0), ("b", 1, 9.0))
    ]
    findings, _ = judge_rows(rows, alone=True)
    assert all(finding.fix for finding in findings)


def test_an_exception_takes_the_place_of_theory_until_it_is_stale() -> None:
    accepted = ScaleException(tensor="layers.*", kind="input", low=8.0, high=10.0, reason="so")
    finding = one(row(9.0), alone=True, exceptions=[accepted])
    assert (finding.verdict, finding.exception) == (Verdict.PASS, "so")
    assert one(row(11.0), alone=True, exceptions=[accepted]).verdict is Verdict.FAIL
    _, notes = judge_rows([row(1.0)], alone=True, exceptions=[accepted])
    assert notes == [
        "Stale exception layers.*:input: every tensor that it covers passes without it. Remove it."
    ]
    gone = ScaleException(tensor="lm_head", low=0.0, high=1.0, reason="so")
    _, notes = judge_rows([row(1.0)], alone=True, exceptions=[gone])
    assert notes == ["Stale exception lm_head: no tensor has that name. Remove it."]


@pytest.mark.parametrize("tolerance", [1.0, 0.5, math.inf, math.nan])
def test_a_tolerance_is_a_factor(tolerance: float) -> None:
    with pytest.raises(InputError, match="factor above 1"):
        judge_rows([row()], tolerance=tolerance)


def test_an_exception_is_a_range() -> None:
    with pytest.raises(InputError, match=r"head:output.*empty or negative"):
        ScaleException(tensor="head", kind="output", low=2.0, high=1.0, reason="so")
