from math import inf

import pytest

from umup_diag.checks.result import Finding, Result
from umup_diag.checks.verdict import Verdict, equivalence


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.1, 0.1), Verdict.PASS),
        ((-0.15, 0.15), Verdict.PASS),
        ((0.1, 0.2), Verdict.INCONCLUSIVE),
        ((-0.5, 0.5), Verdict.INCONCLUSIVE),
        ((0.16, 0.2), Verdict.FAIL),
        ((-inf, inf), Verdict.INCONCLUSIVE),
    ],
)
def test_equivalence(interval: tuple[float, float], verdict: Verdict) -> None:
    assert equivalence(interval, (-0.15, 0.15)) is verdict


@pytest.mark.parametrize(
    ("verdicts", "overall", "code"),
    [
        (["PASS", "PASS"], "PASS", 0),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE", 3),
        (["INCONCLUSIVE", "FAIL", "PASS"], "FAIL", 1),
        ([], "INCONCLUSIVE", 3),
    ],
)
def test_a_result_is_as_bad_as_its_worst_finding(
    verdicts: list[str], overall: str, code: int
) -> None:
    findings = tuple(Finding(tensor="t", kind="k", verdict=Verdict(v)) for v in verdicts)
    result = Result(command="c", settings={}, environment={}, findings=findings)
    assert (result.verdict, result.verdict.exit_code) == (overall, code)


def test_verdicts_have_their_exit_codes() -> None:
    assert [verdict.exit_code for verdict in Verdict] == [0, 1, 3]
