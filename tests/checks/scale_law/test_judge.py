"""The check: which law is reported, its verdict, and what is said beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from umup_diag.checks.result import NoteKind, Result, Verdict
from umup_diag.checks.scale_law import judge as judging
from umup_diag.checks.scale_law.finding import scale_law_findings
from umup_diag.checks.scale_law.judge import judge as judge_recording
from umup_diag.checks.scale_law.law_fit import Fit
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.scaling.quadrature import silu_rms
from umup_diag.scaling.scale_laws import LAWS

ALPHAS = tuple(2.0**i for i in range(-6, 7))


def gated_silu_scale(alpha: float) -> float:
    return LAWS["gated-silu"](alpha=alpha)


def recording_of(op: str, frames: list[Frame]) -> Recording:
    return Recording(
        command="scale-law",
        settings={"op": op},
        environment={},
        notes=[("caution", "The op ignores beta.")],
        frames=frames,
    )


def judge(
    law: Callable[[float], float],
    *,
    op: str = "mine:op",
    noise: float = 0.001,
    alphas: tuple[float, ...] = ALPHAS,
    gradients: Mapping[str, Callable[[float], float]] = MappingProxyType({}),
) -> Result:
    rng = np.random.default_rng(0)
    measured = {
        name: [f(a) * np.exp(rng.normal(0, noise)) for a in alphas]
        for name, f in {"output": law, **gradients}.items()
    }
    frames = [
        Frame(
            point={"alpha": alpha},
            records=tuple(
                TensorRecord(
                    tensor=op,
                    kind=kind,
                    statistics=Moments(count=16, rms=rms[place], relative_error=noise),
                )
                for kind, rms in measured.items()
            ),
        )
        for place, alpha in enumerate(alphas)
    ]
    return judge_recording(recording_of(op, frames), ScaleLawSettings(op=op))


@pytest.mark.parametrize(
    ("law", "constants"),
    [
        (lambda a: 0.7, {"upper": 0.7}),
        (lambda a: 0.7 * a**1.5, {"upper": 0.7, "upper power of alpha": 1.5}),
        (gated_silu_scale, {"upper": 2**-0.5, "lower": 0.5, "c": 1, "k": -2}),
    ],
)
def test_the_simplest_true_law_is_found(
    law: Callable[[float], float], constants: dict[str, float]
) -> None:
    result = judge(law)
    (finding,) = scale_law_findings(result)
    assert result.verdict is Verdict.PASS
    assert {c.name for c in finding.constants} == set(constants)
    for constant in finding.constants:
        # Twice the 95 % interval: one run, several constants.
        half = (constant.high - constant.low) / 2
        assert constant.low - half < constants[constant.name] < constant.high + half


def test_a_law_outside_every_family_fails() -> None:
    result = judge(lambda a: 1 + 0.9 * np.sin(3 * np.log(a)))
    (finding,) = scale_law_findings(result)
    assert result.verdict is Verdict.FAIL
    assert finding.cause is not None
    assert "beyond noise" in finding.cause


@pytest.mark.parametrize("alphas", [(1.0,), (1.0, 2.0), (0.01, 0.3, 1.0, 3.0, 100.0)])
def test_too_few_points_are_inconclusive(alphas: tuple[float, ...]) -> None:
    result = judge(gated_silu_scale, alphas=alphas)
    (finding,) = scale_law_findings(result)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert finding.fix is not None
    assert "points" in str(finding.fix)


def test_noise_beyond_the_tolerance_is_inconclusive() -> None:
    assert judge(gated_silu_scale, noise=0.2).verdict is Verdict.INCONCLUSIVE


def test_nothing_measured_is_inconclusive() -> None:
    empty = judge_recording(recording_of("x:y", []), ScaleLawSettings(op="x:y"))
    assert empty.verdict is Verdict.INCONCLUSIVE


def test_what_measuring_has_to_say_comes_first() -> None:
    first, *_ = judge(silu_rms, op="gated-silu").notes
    assert (first.kind, first.text) == (NoteKind.CAUTION, "The op ignores beta.")


def test_published_and_exact_laws_stand_beside_the_fit() -> None:
    result = judge(silu_rms, op="gated-silu", noise=0.0003)
    (finding,) = scale_law_findings(result)
    published, exact = finding.laws
    assert published.rejected
    assert published.verdict is Verdict.PASS
    assert published.worst_error == pytest.approx(-0.0057, abs=0.0012)
    assert not exact.rejected
    assert any("off by at most -0.57%" in note.text for note in result.notes)


def test_a_wrong_published_law_does_not_change_the_verdict() -> None:
    result = judge(lambda a: 2 * silu_rms(a), op="gated-silu")
    (finding,) = scale_law_findings(result)
    assert finding.laws[0].verdict is Verdict.FAIL
    assert finding.laws[0].worst_error == pytest.approx(-0.5, abs=0.01)
    assert result.verdict is Verdict.PASS


def test_a_small_gradient_is_reported() -> None:
    result = judge(lambda a: 1.0, gradients={"gradient of q": lambda a: 0.1})
    assert any("gradient of q is far below unit" in note.text for note in result.notes)
    near_unit = judge(lambda a: 1.0, gradients={"gradient of q": lambda a: 0.9})
    assert [note.kind for note in near_unit.notes] == [NoteKind.CAUTION]  # the recording's own


def test_a_zero_gradient_is_a_remark_and_not_a_law() -> None:
    result = judge(lambda a: 1.0, gradients={"gradient of x": lambda a: 0.0})
    assert [finding.kind for finding in result.findings] == ["output"]
    assert any("gradient of x is zero everywhere" in note.text for note in result.notes)


def test_a_gradient_that_is_zero_at_some_points_fails() -> None:
    result = judge(lambda a: 1.0, gradients={"gradient of x": lambda a: float(a > 1)})
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].kind == "gradient of x"


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
@pytest.mark.parametrize(
    "law",
    [
        lambda a: a,
        lambda a: a**20,
        lambda a: 1e30 * a,
        lambda a: 1 / (1 + 1e9 * a),
        lambda a: np.exp(4 * a),
        gated_silu_scale,
    ],
)
def test_a_line_to_paste_runs_on_a_small_grid_too(
    law: Callable[[float], float], count: int
) -> None:
    alphas = tuple(2.0**i for i in range(count))
    for finding in scale_law_findings(judge(law, alphas=alphas)):
        if finding.python is None:
            assert finding.verdict is not Verdict.PASS
            continue
        assert "inf" not in finding.python
        assert "nan" not in finding.python
        names: dict[str, Callable[..., float]] = {}
        exec(f"from math import log, pi, sqrt\n{finding.python}", names)
        for alpha in alphas:
            assert names["op_scale"](alpha=alpha) > 0


def test_a_published_law_that_fails_is_said_beside_a_pass() -> None:
    result = judge(lambda a: 0.5 * a**0.1, op="gated-silu")
    remarks = [note.text for note in result.notes if note.kind is NoteKind.REMARK]
    assert any("fails: it is off by" in text and "fitted laws alone" in text for text in remarks)


def test_a_constant_that_ran_away_gives_no_line_and_no_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose = judging._choose

    def runaway(fits: Sequence[Fit]) -> Fit:
        fit = choose(fits)
        first, *others = fit.constants
        return replace(fit, constants=(replace(first, value=np.inf), *others))

    monkeypatch.setattr(judging, "_choose", runaway)
    (finding,) = scale_law_findings(judge(lambda a: 0.7))
    assert (finding.verdict, finding.python) == (Verdict.INCONCLUSIVE, None)
    assert "do not fix the constants" in str(finding.cause)
