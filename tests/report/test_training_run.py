"""The page of a recorded run."""

from math import nan
from pathlib import Path

import pytest

from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.report.chart import Draw, Plot
from umup_diag.report.training_run import MOST_POINTS, page
from umup_diag.scaling.kinds import Kind


def run(losses: list[float], sizes: dict[str, list[float]]) -> Recording:
    """A recording with a snapshot for each size of a tensor, ten updates apart."""
    count = len(next(iter(sizes.values())))
    frames = [
        Frame(
            step=10 * at,
            losses=tuple(losses) if at == count - 1 else (),
            records=tuple(
                TensorRecord(
                    tensor=tensor,
                    kind=Kind.WEIGHT,
                    order=order,
                    statistics=Moments(count=4, rms=each[at], absmax=2 * each[at]),
                )
                for order, (tensor, each) in enumerate(sizes.items())
            ),
        )
        for at in range(count)
    ]
    return Recording(
        command="record",
        settings={"model": "mine", "width": 64, "every": 10, "optimizer": "adam"},
        environment={},
        frames=frames,
        path=Path("reports/run/recording.jsonl"),
    )


def test_it_says_the_loss_and_what_changed_most() -> None:
    sizes = {"layers.0.up": [1.0, 1.5, 2.0], "head": [1.0, 0.5, 0.1]}
    made = page(run([3.0, 1.5, 2.0], sizes))
    assert made.status is None
    assert made.answer.lead == (
        "Loss 3.000 → 2.000; lowest 1.500, at 1. RMS changed most: head (weight), ×0.1"
    )
    assert made.answer.code == "umup-diag fp8-range reports/run"
    sizes_chart = made.charts[1]
    assert [chart.stem for chart in made.charts] == ["loss", "rms"]
    assert made.table is not None
    assert list(made.table.headings) == [
        *("tensor", "kind", "first RMS", "last RMS", "growth", "absmax")
    ]
    cells = [[cell.text for cell in row.cells] for row in made.table.rows]
    assert cells == [
        ["layers.0.up", "weight", "1", "2", "×2", "4"],
        ["head", "weight", "1", "0.1", "×0.1", "2"],
    ]
    [panel] = sizes_chart.panels
    assert isinstance(panel, Plot)
    linked = {series.name: made.rows[id(series)] for series in panel.series}
    assert linked == {"layers.0.up": (0, "layers.0.up"), "head": (1, "head")}
    assert [point.y for point in panel.series[1].points] == [1.0, 0.5, 0.1]


def test_a_loss_that_is_no_number_is_said() -> None:
    made = page(run([3.0, nan], {"head": [1.0]}))
    assert made.answer.lead == "Stopped: the loss is nan after 1 updates"
    assert [chart.stem for chart in made.charts] == ["loss"], "one snapshot has no course"


def test_a_long_run_shares_points_and_shows_their_extremes() -> None:
    losses = [float(at % 2) for at in range(4 * MOST_POINTS)]
    [panel] = page(run(losses, {"head": [1.0]})).charts[0].panels
    assert isinstance(panel, Plot)
    band, line = panel.series
    assert (band.draw, line.draw) == (Draw.BAND, Draw.LINE)
    assert len(line.points) == MOST_POINTS
    assert {(point.y, point.low, point.high) for point in line.points} == {(0.5, 0.0, 1.0)}
    assert line.points[0].x == pytest.approx(1.5), "the middle of four updates"
