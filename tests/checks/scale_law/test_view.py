"""The tables, the document and the figures say what the result says."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from umup_diag.checks.check import Workplace, run
from umup_diag.checks.result import Finding, Result, Verdict
from umup_diag.checks.scale_law import SCALE_LAW
from umup_diag.checks.scale_law.chart import charts
from umup_diag.checks.scale_law.finding import scale_law_findings
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.checks.scale_law.view import table
from umup_diag.report import json as as_json
from umup_diag.report.chart import Plot


def scale_law(op: str, *, out: Path, **settings: Any) -> Result:
    return run(SCALE_LAW, ScaleLawSettings(op=op, **settings), Workplace(out=out))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def silu(out: Path) -> Result:
    return scale_law("gated-silu", relative_error=0.005, out=out)


@pytest.fixture(scope="module")
def attention(out: Path) -> Result:
    over = {"s": (16, 32, 64), "d_head": (8, 16), "alpha": (0.25, 1.0, 4.0)}
    return scale_law("attention", over=over, relative_error=0.02, out=out)


def text_of(result: Result, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table(result), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_pasted_line_is_the_fitted_law(silu: Result) -> None:
    pasted = [
        line for line in text_of(silu).splitlines() if line.startswith(("def ", "from math "))
    ]
    scope: dict[str, object] = {}
    exec("\n".join(pasted), scope)
    law = scope["gated_silu_scale"]
    assert callable(law)
    finding = next(f for f in scale_law_findings(silu) if f.kind == "output")
    assert finding.fitted is not None
    for point, sigma in zip(finding.measurements.points, finding.fitted.predicted, strict=True):
        assert law(**point) == pytest.approx(sigma, rel=1e-3)


def test_the_table_holds_every_quantity_and_law(attention: Result) -> None:
    text = text_of(attention, width=120)
    for word in ("output", "gradient of q", "gradient of v", "fitted", "u-µP", "k[seq_len]"):
        assert word in text
    assert "far below unit" in text
    assert text.rstrip().endswith(attention.verdict.value)


def test_json_has_strings_for_what_is_not_finite(silu: Result, out: Path) -> None:
    written = json.loads(as_json.dumps(silu))
    assert written["schema"] == 1
    assert written["command"] == "scale-law"
    assert written["verdict"] == silu.verdict.value
    (output,) = (f for f in written["findings"] if f["kind"] == "output")
    assert {law["law"] for law in output["laws"]} == {"gated-silu", "exact"}
    assert len(output["measured"]) == 13
    relu = json.loads(as_json.dumps(scale_law("relu", relative_error=0.01, out=out)))
    assert math.isnan(float(relu["findings"][0]["fitted"]["p_value"]))
    assert isinstance(relu["findings"][0]["fitted"]["p_value"], str)


def test_one_parameter_makes_one_figure_and_three_make_one_per_quantity(
    silu: Result, attention: Result
) -> None:
    (chart,) = charts(silu)
    assert len(chart.panels) == 9, "the laws, and how far the fitted and the published one are off"
    drawn = {chart.stem: chart for chart in charts(attention)}
    assert set(drawn) == {"output", "gradient_of_q", "gradient_of_k", "gradient_of_v"}
    assert [len(chart.panels) for chart in drawn.values()] == [6, 6, 6, 6]


def test_a_law_that_is_off_by_a_factor_has_an_axis_of_factors(attention: Result) -> None:
    (chart,) = (chart for chart in charts(attention) if chart.stem == "gradient_of_q")
    (finding,) = (f for f in scale_law_findings(attention) if f.kind == "gradient of q")
    published = next(law for law in finding.laws if law.source.name == "u-µP")
    assert published.worst_error > 1
    off = [p for p in chart.panels if isinstance(p, Plot) and "u-µP, error" in p.title]
    assert off
    assert all(panel.y.log2 for panel in off)
    drawn = [point.y for panel in off for series in panel.series for point in series.points]
    assert max(drawn) == pytest.approx(1 + published.worst_error)


def test_a_result_of_another_check_is_refused() -> None:
    other = Finding(tensor="x", kind="output", verdict=Verdict.PASS)
    result = Result(command="coordcheck", settings={}, environment={}, findings=(other,))
    with pytest.raises(TypeError, match="not a scale-law finding"):
        table(result)
