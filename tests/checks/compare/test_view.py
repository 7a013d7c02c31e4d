"""What the page of a comparison says and draws."""

from dataclasses import replace
from math import inf, nan

from tests.report.page.results import compare
from umup_diag.checks.compare.chart import charts
from umup_diag.checks.compare.finding import change_findings
from umup_diag.checks.compare.view import answer
from umup_diag.checks.verdict import Verdict
from umup_diag.report.chart import Plot


def test_it_names_what_has_moved_and_both_runs() -> None:
    said = answer(compare(Verdict.FAIL))
    assert said.about.startswith("reports/b held to reports/a: 24 tensors")
    assert said.lead == "Moved furthest"
    assert said.first is not None
    assert (said.first.tensor, said.first.kind) == ("layers.0.attention.out", "weight")


def test_every_tensor_is_a_dot_with_its_interval_over_what_counts_as_the_same() -> None:
    [chart] = charts(compare(Verdict.FAIL))
    assert [panel.title for panel in chart.panels] == ["input", "weight"]
    panel = chart.panels[1]
    assert isinstance(panel, Plot)
    assert [(limit.at, limit.until) for limit in panel.limits] == [(-0.25, 0.25)]
    moved = panel.series[3]
    assert moved.name == "layers.0.attention.out"
    assert [tuple(point) for point in moved.points] == [(3, 1.5, 1.45, 1.55)]
    assert panel.alt.endswith("11 PASS, 1 FAIL. layers.0.attention.out has moved furthest: +1.50.")


def test_what_has_no_size_or_no_interval_breaks_nothing() -> None:
    result = compare(Verdict.PASS)
    first, second, *rest = change_findings(result)
    gone = replace(first, change=-inf, interval=(nan, nan))
    single = replace(second, interval=(-inf, inf))
    [chart] = charts(replace(result, findings=(gone, single, *rest)))
    panel = chart.panels[0]
    assert isinstance(panel, Plot)
    assert len(panel.series) == 11
    assert (panel.series[0].points[0].low, panel.series[0].points[0].high) == (None, None)
