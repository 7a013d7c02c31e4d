"""The whole judgement: worst first, worst moment, what to do, and when it will leave."""

from math import log2
from typing import Any

import pytest
import torch

from umup_diag.checks.fp8_range.finding import RangeFinding, range_findings
from umup_diag.checks.fp8_range.format_fit import Flag
from umup_diag.checks.fp8_range.judge import judge
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.result import NoteKind, Result, Verdict
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.numerics.block_cast import BlockCast
from umup_diag.numerics.formats import E4M3FN, Format
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.recording.tensor_record import Sample
from umup_diag.scaling.kinds import Kind

NORMAL = torch.randn(4096, generator=torch.Generator().manual_seed(3)).clamp(-4, 4)


def tensor(name: str, x: torch.Tensor, kind: Kind = Kind.WEIGHT, **more: Any) -> TensorRecord:
    return TensorRecord(tensor=name, kind=kind, statistics=CodeHistogram.of(x), **more)


def judged(*frames: Frame, **settings: Any) -> Result:
    recording = Recording(command="fp8-range", settings={}, environment={}, frames=frames)
    return judge(recording, RangeSettings(**settings))


def once(*tensors: TensorRecord, **settings: Any) -> Result:
    return judged(Frame(records=tensors), **settings)


def findings(result: Result) -> list[RangeFinding]:
    assert len(range_findings(result)) == len(result.findings)
    return range_findings(result)


def test_overflow_and_underflow_fail_and_come_first() -> None:
    result = once(
        tensor("fits", NORMAL),
        tensor("low", NORMAL * 2.0**-5.5),
        tensor("small", NORMAL * 2.0**-12),
        tensor("large", NORMAL * 1000),
    )
    assert [each.tensor for each in result.findings] == ["large", "small", "low", "fits"]
    flags = [each.held_to.flag for each in findings(result)]
    assert flags == ["overflow", "underflow", "near_min_normal", "ok"]
    assert result.verdict is Verdict.FAIL


def test_near_a_limit_fails_only_when_strict() -> None:
    near = tensor("near", torch.full((16,), 300.0))
    assert once(near).verdict is Verdict.PASS
    assert once(near, strict=True).verdict is Verdict.FAIL
    assert once(tensor("fits", NORMAL), strict=True).verdict is Verdict.PASS


def test_the_fix_names_the_format_or_the_scale() -> None:
    large, small, wide = findings(
        once(
            tensor("large", torch.full((16,), 1000.0)),
            tensor("small", NORMAL * 2.0**-18),
            tensor("wide", 2.0 ** torch.linspace(-40, 20, 999)),
        )
    )
    by_name = {each.tensor: str(each.fix) for each in (large, small, wide)}
    assert by_name["large"] == "cast it to E5M2 or scale it by 2^-3 before the cast"
    assert by_name["small"] == "scale it by 2^23 before the cast"
    assert by_name["wide"] == "keep it in higher precision"


def test_gradients_are_held_to_e5m2_and_the_rest_to_e4m3() -> None:
    x = NORMAL * 2.0**-11
    weight, gradient = findings(once(tensor("w", x), tensor("g", x, Kind.GRAD_OUTPUT)))
    assert (weight.held_to.format, weight.held_to.flag) == ("E4M3FN", "underflow")
    assert (gradient.held_to.format, gradient.held_to.flag) == ("E5M2", "ok")
    assert gradient.other_formats[0].flag is Flag.UNDERFLOW
    (alone,) = findings(once(tensor("g", x, Kind.GRAD_OUTPUT), formats="e4m3fn"))
    assert alone.held_to.flag is Flag.UNDERFLOW
    assert alone.other_formats == ()


def test_the_worst_moment_is_judged_and_its_first_step_kept() -> None:
    sizes = [1.0, 600.0, 700.0, 1.0]
    result = judged(
        *(
            Frame(step=10 * at, records=(tensor("t", torch.full((8,), size)),))
            for at, size in enumerate(sizes)
        )
    )
    (found,) = findings(result)
    assert (found.held_to.flag, found.since, found.step, found.absmax) == (
        "overflow",
        10,
        20,
        700.0,
    )
    assert [step for step, _, _ in found.points] == [0, 10, 20, 30]


def growth(octaves: float) -> list[Frame]:
    return [
        Frame(step=1000 * at, records=(tensor("t", NORMAL * 2.0 ** (octaves * at)),))
        for at in range(5)
    ]


def test_a_tensor_that_grows_says_when_it_leaves() -> None:
    (found,) = findings(judged(*growth(0.5)))
    ahead = found.crossing
    assert found.verdict is Verdict.PASS
    assert ahead is not None
    assert ahead.growth == pytest.approx(0.5)
    octaves = log2(464) - log2(float(NORMAL.abs().max()))
    assert ahead.crossing == pytest.approx(1000 * octaves / 0.5)
    assert found.cause is not None
    assert f"reaches the largest value at step {ahead.crossing:.0f} (" in found.cause
    assert judged(*growth(0.5), strict=True).verdict is Verdict.FAIL


def test_a_tensor_that_stays_or_shrinks_slowly_is_not_announced() -> None:
    for octaves in (0.0, 0.01):
        (found,) = findings(judged(*growth(octaves), strict=True))
        assert found.crossing is None
        assert found.verdict is Verdict.PASS


def test_a_horizon_can_be_set() -> None:
    assert findings(judged(*growth(0.5), horizon=9000))[0].crossing is None
    assert findings(judged(*growth(0.5), horizon=10_000))[0].crossing is not None


def test_block_formats_judge_what_they_flush() -> None:
    name = "MXFP8_E4M3"
    x = torch.full((4, 64), 2.0**-12)
    beside = x.clone()
    beside[:, ::32] = 256.0
    tensors = [
        tensor(label, each, blocks={name: BlockCast.of([each], BLOCK_FORMATS[name])})
        for label, each in (("even", x), ("uneven", beside))
    ]
    uneven, even = findings(once(*tensors, formats=f"{name},e4m3fn"))
    assert (uneven.held_to.flag, uneven.held_to.underflow_fraction) == ("underflow", 31 / 32)
    assert (even.held_to.flag, even.held_to.sqnr_db) == ("ok", float("inf"))
    assert even.held_to.best_scale_log2 is None
    assert even.other_formats[0].flag is Flag.UNDERFLOW


def test_a_sample_is_said_to_be_one() -> None:
    x = torch.ones(8)
    sampled = [
        tensor(name, x, sample=Sample(elements=80, relative_error=error))
        for name, error in (("a", 0.01), ("b", 0.02))
    ]
    (note,) = once(*sampled, tensor("c", x)).notes
    assert note.kind is NoteKind.CAUTION
    assert "the weights of 2 tensors: RMS is known to 2.0%" in note.text
    assert "rarer than one in 8 " in note.text
    assert not once(tensor("c", x)).notes


def test_nothing_and_zeros_and_nan() -> None:
    result = once(
        tensor("empty", torch.empty(0)),
        tensor("zeros", torch.zeros(9)),
        tensor("nan", torch.tensor([1.0, float("nan")])),
    )
    flags = {each.tensor: each.held_to.flag for each in findings(result)}
    assert flags == {"empty": "ok", "zeros": "all_zero", "nan": "non_finite"}
    assert [each.tensor for each in result.findings] == ["nan", "zeros", "empty"]  # worst first
    assert "Tensors without elements: 1." in map(str, result.notes)
    assert once().verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("asked", [{}, {"formats": "mxfp8"}, {"recipe": "absmax"}], ids=str)
def test_a_tensor_of_zeros_alone_does_not_pass(asked: dict[str, str]) -> None:
    x = torch.zeros(2, 32)
    zeros = tensor("w", x, blocks={"MXFP8_E4M3": BlockCast.of([x], BLOCK_FORMATS["MXFP8_E4M3"])})
    for strict in (False, True):
        result = once(zeros, strict=strict, **asked)
        (finding,) = findings(result)
        assert (finding.held_to.flag, finding.verdict) == ("all_zero", Verdict.INCONCLUSIVE)
        assert finding.cause == "every element is zero, so there is nothing to judge"
        assert finding.fix is None
        assert result.verdict.exit_code == 3


def test_a_tensor_that_starts_at_zero_is_judged_by_what_it_becomes() -> None:
    moments = [Frame(step=at, records=(tensor("w", NORMAL * at),)) for at in range(2)]
    (finding,) = findings(judged(*moments))
    assert (finding.step, finding.held_to.flag, finding.verdict) == (1, "ok", Verdict.PASS)


def test_the_best_scale_is_sought_once_a_tensor_and_format(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sought = []

    def best(self: CodeHistogram, fmt: Format) -> int:
        sought.append((self.absmax, fmt.name))
        return found(self, fmt)

    found = CodeHistogram.best_scale_log2
    monkeypatch.setattr(CodeHistogram, "best_scale_log2", best)
    moments = [Frame(step=at, records=(tensor("w", NORMAL * (1 + at)),)) for at in range(3)]
    (finding,) = findings(judged(*moments, formats="e4m3fn,e5m2"))
    assert sought == [(finding.absmax, "E4M3FN"), (finding.absmax, "E5M2")]
    assert finding.step is not None
    worst = moments[finding.step].records[0].histogram
    assert finding.held_to.best_scale_log2 == found(worst, E4M3FN)


def test_the_same_frames_give_the_same_result() -> None:
    assert judged(*growth(0.3)) == judged(*growth(0.3))


def test_the_document_of_a_finding_is_flat() -> None:
    (finding,) = findings(once(tensor("w", NORMAL * 1000)))
    document = finding.document()
    assert (document["format"], document["flag"], document["sqnr_db"]) == (
        "E4M3FN",
        "overflow",
        finding.held_to.sqnr_db,
    )
    assert document["other_formats"][0]["flag"] == "ok"
    assert document["fix"] == str(finding.fix)
    assert "held_to" not in document


def test_what_measuring_says_and_the_settings_reach_the_result() -> None:
    recording = Recording(
        command="record",
        settings={"model": "m", "width": 64},
        environment={"torch": "x"},
        notes=[(NoteKind.NOT_JUDGED, "Not judged: 3 tensors.")],
        frames=[Frame(records=(tensor("w", NORMAL),))],
    )
    result = judge(recording, RangeSettings(near=0.5, include=("w",)))
    assert [(note.kind, note.text) for note in result.notes] == [
        (NoteKind.NOT_JUDGED, "Not judged: 3 tensors.")
    ]
    assert result.environment == {"torch": "x"}
    assert result.settings == {
        "model": "m",
        "width": 64,
        "formats": None,
        "recipe": None,
        "underflow": 0.1,
        "subnormal": 0.5,
        "near": 0.5,
        "horizon": None,
        "strict": False,
    }
