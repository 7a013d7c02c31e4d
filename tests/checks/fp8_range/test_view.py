"""The table and the charts of FP8 range."""

import math
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from umup_diag.checks.fp8_range.chart import MOST_BARS, MOST_STEPS, charts
from umup_diag.checks.fp8_range.finding import range_findings
from umup_diag.checks.fp8_range.format_fit import Flag
from umup_diag.checks.fp8_range.judge import judge
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.view import decibels, magnitude, share, table, view
from umup_diag.checks.result import Result
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.report import json
from umup_diag.report.chart import Draw, HeatMap, Plot, Spans
from umup_diag.scaling.kinds import Kind

KINDS = (Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT)


def result(layers: int = 3, steps: int = 4, scale: float = 1.0) -> Result:
    random = torch.Generator().manual_seed(0)
    frames = [
        Frame(
            step=100 * step,
            records=tuple(
                TensorRecord(
                    tensor=f"layers.{layer}.down",
                    kind=kind,
                    order=layer,
                    statistics=CodeHistogram.of(
                        torch.randn(256, generator=random) * scale * 2.0 ** (step / 4)
                    ),
                )
                for layer in range(layers)
                for kind in KINDS
            ),
        )
        for step in range(steps)
    ]
    return judged(frames)


def judged(frames: list[Frame]) -> Result:
    recording = Recording(command="fp8-range", settings={}, environment={}, frames=frames)
    return judge(recording, RangeSettings())


def shown(answer: Result, *, every: bool = False, width: int = 100) -> str:
    console = Console(width=width, record=True, highlight=False, quiet=False)
    with console.capture() as caught:
        console.print(table(answer, every))
    return caught.get()


def test_repeated_layers_share_a_row_and_all_lists_them() -> None:
    answer = result(layers=12, scale=2.0**-12)
    short, long = shown(answer), shown(answer, every=True)
    assert "layers.*.down" in short
    assert "×12" in short
    assert "layers.7.down" not in short.partition("room:")[0]
    assert all(f"layers.{layer}.down" in long for layer in range(12))
    assert "scale it by 2^" in short


def test_what_fits_is_one_row_a_kind() -> None:
    answer = result(steps=1)
    assert [f"3 {kind} ok" in shown(answer) for kind in KINDS] == [True, True, True]
    assert "fp8-range: PASS (9 PASS)" in shown(answer)


def test_a_tensor_of_zeros_has_no_room_to_show() -> None:
    zeros = TensorRecord(
        tensor="w", kind=Kind.WEIGHT, statistics=CodeHistogram.of(torch.zeros(2, 32))
    )
    answer = judged([Frame(records=(zeros,))])
    (finding,) = answer.findings
    said = shown(answer) + finding.sentence + view().columns["room"](finding)
    said += view().columns["other formats"](finding)
    assert "inf" not in said
    assert "nan" not in said
    assert "all zero" in said
    assert "fp8-range: INCONCLUSIVE (1 INCONCLUSIVE)" in said
    assert charts(answer) == []


def test_lines_fit_the_terminal() -> None:
    assert max(map(len, shown(result(scale=2.0**-12)).splitlines())) <= 100


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "50.0%"), (1.0, "100.0%"), (0.0012, "0.1%"), (2e-6, "2e-4%")],
)
def test_shares_never_read_as_zero_unless_they_are(value: float, text: str) -> None:
    assert share(value) == text


def test_sizes_are_powers_of_two() -> None:
    assert magnitude(0.5) == "2^-1.0"
    assert magnitude(0.0) == "0"
    assert magnitude(float("nan")) == "nan"
    assert decibels(-0.3) == "0"
    assert decibels(float("inf")) == "—"


def test_room_and_rms_are_drawn_where_there_are_steps() -> None:
    assert [chart.stem for chart in charts(result())] == ["spans", "headroom", "training"]
    assert [chart.stem for chart in charts(result(steps=1))] == ["spans"]
    assert charts(judged([])) == []


def test_many_tensors_share_bars_and_what_does_not_fit_has_its_own() -> None:
    frames = result(layers=MOST_BARS + 1, steps=1, scale=0.5)
    (chart,) = charts(frames)
    spans = chart.panels[0]
    assert isinstance(spans, Spans)
    assert [row.name for row in spans.rows] == [f"layers.*.down ×{MOST_BARS + 1}"]
    first = replace(range_findings(frames)[0], tensor="layers.7.down")
    bad = replace(first, held_to=replace(first.held_to, flag=Flag.OVERFLOW))
    (chart,) = charts(replace(frames, findings=(*frames.findings, bad)))
    drawn = [row for panel in chart.panels if isinstance(panel, Spans) for row in panel.rows]
    (alone,) = (row for row in drawn if row.finding is not None)
    assert (alone.name, alone.group) == ("layers.7.down", "beyond it")


def test_room_is_at_the_tighter_end_and_the_least_of_steps_that_share_a_column() -> None:
    headroom = charts(result(layers=1, steps=60))[1].panels[0]
    assert isinstance(headroom, HeatMap)
    assert len(headroom.columns) == MOST_STEPS
    (row,) = headroom.rows
    (finding,) = (f for f in range_findings(result(layers=1, steps=60)) if f.kind == Kind.INPUT)
    rooms = [
        min(math.log2(448 / absmax), math.log2(rms / 2.0**-6)) for _, rms, absmax in finding.points
    ]
    assert row.values[0] == pytest.approx(rooms[0])
    assert min(v for v in row.values if v is not None) == pytest.approx(min(rooms))


def test_the_report_has_every_column() -> None:
    answer = result()
    for finding in answer.findings:
        assert all(isinstance(column(finding), str) for column in view().columns.values())
    assert '"flag": "' in json.dumps(answer)


def test_tensors_with_the_same_fix_share_its_line_and_its_range_of_scales() -> None:
    tensors = [
        TensorRecord(
            tensor=name,
            kind=Kind.WEIGHT,
            statistics=CodeHistogram.of(torch.full((64,), value)),
        )
        for name, value in (("a", 2.0**9), ("b", 2.0**12), ("c", 2.0**-30))
    ]
    lines = shown(judged([Frame(records=tuple(tensors))])).splitlines()
    at = lines.index("cast it to E5M2 or scale it by 2^-5 … 2^-2 before the cast:")
    assert lines[at + 1].split() == ["b", "(weight),", "a", "(weight)"]
    assert lines[lines.index("scale it by 2^37 before the cast:") + 1].split() == ["c", "(weight)"]


def test_what_leaves_the_range_is_said_by_the_forecast() -> None:
    frames = [
        Frame(
            step=1000 * at,
            records=(
                TensorRecord(
                    tensor="t",
                    kind=Kind.WEIGHT,
                    statistics=CodeHistogram.of(torch.full((64,), 2.0**at)),
                ),
            ),
        )
        for at in range(5)
    ]
    answer = judged(frames)
    (finding,) = range_findings(answer)
    assert finding.crossing is not None
    assert f"  t (weight): {finding.crossing.words}" in shown(answer, width=200)
    panel = charts(answer)[-1].panels[0]
    assert isinstance(panel, Plot)
    assert finding.crossing.words in panel.alt
    (reached,) = (each for each in panel.series if each.name.startswith("reached"))
    assert finding.crossing.crossing_interval is not None
    assert reached.points[0].x == pytest.approx(finding.crossing.crossing_interval[0])
    assert {point.y for point in reached.points} == {464.0}
    (trend,) = (each for each in panel.series if each.draw is Draw.DASHED)
    assert trend.points[0].y == pytest.approx(2.0 ** (trend.points[0].x / 1000))
