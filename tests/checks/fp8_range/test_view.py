"""The table and the pictures of FP8 range."""

import pytest
import torch
from rich.console import Console

from umup_diag.checks.fp8_range import figure as fp8_figures
from umup_diag.checks.fp8_range import view as fp8_range
from umup_diag.checks.fp8_range.judge import Question, judge
from umup_diag.checks.result import Result
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.report import folder as report
from umup_diag.report import json
from umup_diag.scaling.kinds import Kind

KINDS = (Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT)


def result(layers: int = 3, steps: int = 4, scale: float = 1.0) -> Result:
    random = torch.Generator().manual_seed(0)
    snapshots = [
        Snapshot(
            step=100 * step,
            tensors=tuple(
                TensorHistogram(
                    tensor=f"layers.{layer}.down",
                    kind=kind,
                    order=layer,
                    histogram=CodeHistogram.of(
                        torch.randn(256, generator=random) * scale * 2.0 ** (step / 4)
                    ),
                )
                for layer in range(layers)
                for kind in KINDS
            ),
        )
        for step in range(steps)
    ]
    return judge(snapshots, Question(), settings={}, environment={})


def shown(told: Result, *, every: bool = False, width: int = 100) -> str:
    console = Console(width=width, record=True, highlight=False, quiet=False)
    with console.capture() as caught:
        console.print(fp8_range.fp8_range(told, every=every))
    return caught.get()


def test_repeated_layers_share_a_row_and_all_lists_them() -> None:
    told = result(layers=12, scale=2.0**-12)
    short, long = shown(told), shown(told, every=True)
    assert "layers.*.down" in short
    assert "×12" in short
    assert "layers.7.down" not in short.partition("room:")[0]
    assert all(f"layers.{layer}.down" in long for layer in range(12))
    assert "scale it by 2^" in short


def test_what_fits_is_one_row_a_kind() -> None:
    told = result(steps=1)
    assert [f"3 {kind} ok" in shown(told) for kind in KINDS] == [True, True, True]
    assert "fp8-range: PASS (9 PASS)" in shown(told)


def test_lines_fit_the_terminal() -> None:
    assert max(map(len, shown(result(scale=2.0**-12)).splitlines())) <= 100


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "50.0%"), (1.0, "100.0%"), (0.0012, "0.1%"), (2e-6, "2e-4%")],
)
def test_shares_never_read_as_zero_unless_they_are(value: float, text: str) -> None:
    assert fp8_range.share(value) == text


def test_sizes_are_powers_of_two() -> None:
    assert fp8_range.magnitude(0.5) == "2^-1.0"
    assert fp8_range.magnitude(0.0) == "0"
    assert fp8_range.magnitude(float("nan")) == "nan"
    assert fp8_range.decibels(-0.3) == "0"
    assert fp8_range.decibels(float("inf")) == "—"


def test_pictures_are_the_same_bytes_each_time_and_none_where_there_is_nothing() -> None:
    told = result()
    for draw in (fp8_figures.spans, fp8_figures.through_training, fp8_figures.headroom):
        png = draw(told)
        assert png is not None
        assert png == draw(told)
    single = result(steps=1)
    assert fp8_figures.spans(single) is not None
    assert fp8_figures.through_training(single) is None
    assert fp8_figures.headroom(single) is None
    nothing = judge([], Question(), settings={}, environment={})
    assert fp8_figures.spans(nothing) is None


def test_many_tensors_share_bars() -> None:
    assert fp8_figures.spans(result(layers=fp8_figures.MOST_BARS + 1, steps=1)) is not None


def test_the_report_has_every_column() -> None:
    told = result()
    telling = report.TELLINGS["fp8-range"]
    for finding in told.findings:
        for column in telling.columns.values():
            assert column(finding) if callable(column) else hasattr(finding, column)
    assert '"flag": "' in json.dumps(told)
