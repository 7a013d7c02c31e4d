"""The whole judgement: worst first, worst moment, what to do, and when it will leave."""

from math import log2
from typing import Any

import pytest
import torch

from umup_diag.checks.fp8_range.format_fit import Limits
from umup_diag.checks.fp8_range.judge import Question, RangeFinding, judge
from umup_diag.checks.result import Result, Verdict
from umup_diag.numerics.block import SELF_SCALED, BlockCast
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind

NORMAL = torch.randn(4096, generator=torch.Generator().manual_seed(3)).clamp(-4, 4)


def seen(name: str, x: torch.Tensor, kind: Kind = Kind.WEIGHT, **more: Any) -> TensorHistogram:
    return TensorHistogram(tensor=name, kind=kind, order=0, histogram=CodeHistogram.of(x), **more)


def ask(*snapshots: Snapshot, **question: Any) -> Result:
    return judge(snapshots, Question(**question), settings={}, environment={})


def once(*tensors: TensorHistogram, **question: Any) -> Result:
    return ask(Snapshot(step=None, tensors=tensors), **question)


def findings(result: Result) -> list[RangeFinding]:
    return [each for each in result.findings if isinstance(each, RangeFinding)]


def test_overflow_and_underflow_fail_and_come_first() -> None:
    result = once(
        seen("fits", NORMAL),
        seen("low", NORMAL * 2.0**-5.5),
        seen("small", NORMAL * 2.0**-12),
        seen("large", NORMAL * 1000),
    )
    assert [each.tensor for each in result.findings] == ["large", "small", "low", "fits"]
    flags = [each.flag for each in findings(result)]
    assert flags == ["overflow", "underflow", "near_min_normal", "ok"]
    assert result.verdict is Verdict.FAIL


def test_near_a_limit_fails_only_when_strict() -> None:
    near = seen("near", torch.full((16,), 300.0))
    assert once(near).verdict is Verdict.PASS
    assert once(near, strict=True).verdict is Verdict.FAIL
    assert once(seen("fits", NORMAL), strict=True).verdict is Verdict.PASS


def test_the_fix_names_the_format_or_the_scale() -> None:
    large, small, wide = findings(
        once(
            seen("large", torch.full((16,), 1000.0)),
            seen("small", NORMAL * 2.0**-18),
            seen("wide", 2.0 ** torch.linspace(-40, 20, 999)),
        )
    )
    by_name = {each.tensor: each.fix for each in (large, small, wide)}
    assert by_name["large"] == "cast it to E5M2 or scale it by 2^-3 before the cast"
    assert by_name["small"] == "scale it by 2^23 before the cast"
    assert by_name["wide"] == "keep it in higher precision"


def test_gradients_are_held_to_e5m2_and_the_rest_to_e4m3() -> None:
    x = NORMAL * 2.0**-11
    weight, gradient = findings(once(seen("w", x), seen("g", x, Kind.GRAD_OUTPUT)))
    assert (weight.format, weight.flag) == ("E4M3FN", "underflow")
    assert (gradient.format, gradient.flag) == ("E5M2", "ok")
    assert gradient.beside[0]["flag"] == "underflow"
    (alone,) = findings(once(seen("g", x, Kind.GRAD_OUTPUT), formats=("E4M3FN",)))
    assert alone.flag == "underflow"
    assert alone.beside == ()


def test_the_worst_moment_is_judged_and_its_first_step_told() -> None:
    sizes = [1.0, 600.0, 700.0, 1.0]
    result = ask(
        *(
            Snapshot(step=10 * at, tensors=(seen("t", torch.full((8,), size)),))
            for at, size in enumerate(sizes)
        )
    )
    (found,) = findings(result)
    assert (found.flag, found.since, found.step, found.absmax) == ("overflow", 10, 20, 700.0)
    assert [step for step, _, _ in found.points] == [0, 10, 20, 30]


def growth(octaves: float) -> list[Snapshot]:
    return [
        Snapshot(step=1000 * at, tensors=(seen("t", NORMAL * 2.0 ** (octaves * at)),))
        for at in range(5)
    ]


def test_a_tensor_that_grows_is_told_when_it_leaves() -> None:
    (found,) = findings(ask(*growth(0.5)))
    ahead = found.crossing
    assert found.verdict is Verdict.PASS
    assert ahead is not None
    assert ahead.growth == pytest.approx(0.5)
    octaves = log2(464) - log2(float(NORMAL.abs().max()))
    assert ahead.crossing == pytest.approx(1000 * octaves / 0.5)
    assert found.cause is not None
    assert f"reaches the largest value at step {ahead.crossing:.0f} (" in found.cause
    assert ask(*growth(0.5), strict=True).verdict is Verdict.FAIL


def test_a_tensor_that_stays_or_shrinks_slowly_is_not_announced() -> None:
    for octaves in (0.0, 0.01):
        (found,) = findings(ask(*growth(octaves), strict=True))
        assert found.crossing is None
        assert found.verdict is Verdict.PASS


def test_a_horizon_can_be_set() -> None:
    assert findings(ask(*growth(0.5), horizon=9000))[0].crossing is None
    assert findings(ask(*growth(0.5), horizon=10_000))[0].crossing is not None


def test_block_formats_judge_what_they_flush() -> None:
    name = "MXFP8_E4M3"
    x = torch.full((4, 64), 2.0**-12)
    beside = x.clone()
    beside[:, ::32] = 256.0
    tensors = [
        seen(label, each, blocks={name: BlockCast.of([each], SELF_SCALED[name])})
        for label, each in (("even", x), ("uneven", beside))
    ]
    uneven, even = findings(once(*tensors, formats=(name, "E4M3FN")))
    assert (uneven.flag, uneven.underflow_fraction) == ("underflow", 31 / 32)
    assert (even.flag, even.sqnr_db) == ("ok", float("inf"))
    assert even.best_scale_log2 is None
    assert even.beside[0]["flag"] == "underflow"


def test_nothing_and_zeros_and_nan() -> None:
    result = once(
        seen("empty", torch.empty(0)),
        seen("zeros", torch.zeros(9)),
        seen("nan", torch.tensor([1.0, float("nan")])),
    )
    flags = {each.tensor: each.flag for each in findings(result)}
    assert flags == {"empty": "ok", "zeros": "ok", "nan": "non_finite"}
    assert "1 of the tensors have no elements." in result.notes
    assert once().verdict is Verdict.INCONCLUSIVE


def test_the_same_snapshots_give_the_same_result() -> None:
    assert ask(*growth(0.3)) == ask(*growth(0.3))
    assert Limits() == Limits()
