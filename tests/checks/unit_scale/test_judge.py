"""The unit-scale check: healthy models pass, planted faults fail where they were planted."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import reference_model
from tests.checks.coordcheck.planted_faults import SEEN, UNSEEN, Fault, subject
from umup_diag.checks.result import Note, NoteKind, Result, Verdict
from umup_diag.checks.unit_scale.exceptions import ScaleException
from umup_diag.checks.unit_scale.judge import ScaleFinding, judge
from umup_diag.checks.unit_scale.measure import record
from umup_diag.checks.unit_scale.settings import UnitScaleSettings
from umup_diag.errors import InputError
from umup_diag.measure.subject import Subject
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.recording.wiring import Wiring
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans


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
    settings = UnitScaleSettings(width=(width,), seeds=seeds, batches=1, seed=seed)
    tested = Subject(name="it", build=lambda at: offer.build(at, **build), loss=offer.loss)
    recording = Recording.create(
        tmp_path, command="unit-scale", settings=settings.encode(), environment={}
    )
    record(tested, settings, recording, device=torch.device("cpu"))
    return judge(recording, settings)


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
def test_what_it_cannot_see_passes(name: str, tmp_path: Path) -> None:
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


READOUT = "head"
UNWIRED = Wiring(readouts=(READOUT,), consumers={}, shares={}, pooled={}, calls=())


def record_of(
    rms: float = 1.0,
    *,
    tensor: str = "layers.0.up",
    kind: Kind = Kind.INPUT,
    order: int = 0,
    fan_in: int | None = 4,
    nonfinite_count: int = 0,
) -> TensorRecord:
    return TensorRecord(
        tensor=tensor,
        kind=kind,
        order=order,
        fans=Fans(fan_in=fan_in, fan_out=4),
        statistics=Moments(count=10, rms=rms, absmax=rms, nonfinite_count=nonfinite_count),
    )


def judged(*records: TensorRecord, **settings: Any) -> Result:
    """Of one model and one batch."""
    return judged_frames(Frame(records=records, wiring=UNWIRED), **settings)


def judged_frames(*frames: Frame, **settings: Any) -> Result:
    recording = Recording(command="unit-scale", settings={}, environment={}, frames=frames)
    return judge(recording, UnitScaleSettings(**settings))


def one(result: Result) -> ScaleFinding:
    (finding,) = result.findings
    assert isinstance(finding, ScaleFinding)
    return finding


def over_seeds(*rms: float) -> ScaleFinding:
    frames = (
        Frame(point={"width": 128, "seed": seed}, records=(record_of(each),), wiring=UNWIRED)
        for seed, each in enumerate(rms)
    )
    return one(judged_frames(*frames))


def test_the_interval_decides() -> None:
    assert over_seeds(1.0, 1.01, 0.99).verdict is Verdict.PASS
    assert over_seeds(1.9, 2.0, 2.1).verdict is Verdict.FAIL
    assert over_seeds(0.5, 1.0, 2.0).verdict is Verdict.INCONCLUSIVE
    assert over_seeds(1.0).verdict is Verdict.INCONCLUSIVE
    assert over_seeds(1e-300, 1e300).verdict is Verdict.INCONCLUSIVE
    assert one(judged(record_of(1.0))).verdict is Verdict.PASS


def test_the_interval_is_students() -> None:
    finding = over_seeds(*(2**log for log in (0.1, 0.2, 0.3)))
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert finding.interval == pytest.approx((2 ** (0.2 - half), 2 ** (0.2 + half)), rel=1e-6)


def test_the_fix_is_the_factor_that_corrects() -> None:
    """Of a readout's output, which is to be at 1/√4."""
    finding = one(judged(record_of(0.25, tensor=READOUT, kind=Kind.OUTPUT)))
    assert finding.expected == pytest.approx(0.5)
    assert finding.factor == pytest.approx(2)
    assert str(finding.fix) == "multiply the forward multiplier by 2"


def test_zero_and_non_finite_fail() -> None:
    assert one(judged(record_of(0.0))).cause == "zero at init"
    broken = one(judged(record_of(1.0, nonfinite_count=3)))
    assert (broken.verdict, broken.cause) == (Verdict.FAIL, "not finite")


def test_a_bias_of_zeros_is_not_judged() -> None:
    result = judged(record_of(0.0, kind=Kind.WEIGHT, fan_in=None))
    assert not result.findings
    assert result.notes == (
        Note(kind=NoteKind.NOT_JUDGED, text="Not judged: layers.0.up: zero at init."),
    )


def test_causes_run_forward_then_backward_and_what_follows_is_said_to() -> None:
    result = judged(
        *(
            record_of(9.0, tensor=tensor, order=order, kind=kind)
            for tensor, order in (("a", 0), ("b", 1))
            for kind in (Kind.GRAD_OUTPUT, Kind.OUTPUT, Kind.INPUT)
        )
    )
    assert [(f.tensor, str(f.kind)) for f in result.findings] == [
        ("a", "input"),
        ("a", "output"),
        ("b", "input"),
        ("b", "output"),
        ("b", "grad_output"),
        ("a", "grad_output"),
    ]
    assert [(f.follows, f.cause) for f in result.findings if f.fix is None] == [
        ("a", "follows from input of a"),
        ("b", "follows from input of b"),
        ("b", "follows from grad_output of b"),
    ]


def test_another_factor_has_a_cause_of_its_own() -> None:
    result = judged(
        *(
            record_of(rms, tensor=tensor, order=order, kind=Kind.GRAD_OUTPUT)
            for tensor, order, rms in (("a", 0, 64.0), ("b", 1, 9.0))
        )
    )
    assert all(finding.fix and not finding.follows for finding in result.findings)


def test_an_exception_takes_the_place_of_theory_until_it_is_stale() -> None:
    accepted = ScaleException(tensor="layers.*", kind="input", low=8.0, high=10.0, reason="so")
    finding = one(judged(record_of(9.0), exceptions=[accepted]))
    assert (finding.verdict, finding.exception) == (Verdict.PASS, "so")
    assert one(judged(record_of(11.0), exceptions=[accepted])).verdict is Verdict.FAIL
    (note,) = judged(record_of(1.0), exceptions=[accepted]).notes
    assert note.kind is NoteKind.STALE_EXCEPTION
    assert str(note) == (
        "Stale exception layers.*:input: every tensor that it covers passes without it. Remove it."
    )
    gone = ScaleException(tensor="lm_head", low=0.0, high=1.0, reason="so")
    (note,) = judged(record_of(1.0), exceptions=[gone]).notes
    assert str(note) == "Stale exception lm_head: no tensor has that name. Remove it."


@pytest.mark.parametrize("tolerance", [1.0, 0.5, math.inf, math.nan])
def test_a_tolerance_is_a_factor(tolerance: float) -> None:
    with pytest.raises(InputError, match=r"not in the range x>1"):
        UnitScaleSettings(tolerance=tolerance)


def test_an_exception_is_a_range() -> None:
    with pytest.raises(InputError, match=r"head:output.*empty or negative"):
        ScaleException(tensor="head", kind="output", low=2.0, high=1.0, reason="so")


def test_a_recording_gives_the_same_result_when_it_is_read_again(tmp_path: Path) -> None:
    exception = ScaleException(tensor="head", low=0.0, high=9.0, reason="so")
    settings = UnitScaleSettings(width=(64,), seeds=2, batches=1, exceptions=(exception,))
    recording = Recording.create(
        tmp_path, command="unit-scale", settings=settings.encode(), environment={}
    )
    umup = reference_model.umup
    tested = Subject(name="it", build=umup.build, loss=umup.loss)
    record(tested, settings, recording, device=torch.device("cpu"))
    again = Recording.load(tmp_path)
    assert judge(again, UnitScaleSettings.decode(again.settings)) == judge(recording, settings)
