"""From settings to a recording: defaults of the op, frames, notes."""

import math
from pathlib import Path

import pytest

from umup_diag.checks.check import Workplace
from umup_diag.checks.scale_law.judge import judge
from umup_diag.checks.scale_law.measure import measure, resolve
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.errors import InputError
from umup_diag.recording import Recording
from umup_diag.report import json as as_json
from umup_diag.settings.ranges import GRID, MAX_POINTS, grid_points


def test_a_builtin_op_has_a_full_name_and_defaults_for_what_is_left_open() -> None:
    asked = ScaleLawSettings(op="attention", causal=False, over={"s": (64, 128), "alpha": (1.0,)})
    resolved = resolve(asked)
    assert resolved.op == "full-attention"
    assert list(resolved.over) == ["seq_len", "head_dim", "alpha"]
    assert (resolved.over["seq_len"], resolved.over["alpha"]) == ((64, 128), (1.0,))
    assert resolved.relative_error == 0.005
    assert resolve(resolved) == resolved
    assert ScaleLawSettings.decode(resolved.encode()) == resolved


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"op": "atention"}, "no op 'atention': give pkg.mod:function, or one of attention, "),
        ({"op": "relu", "over": {"alpha": (1,)}}, "relu has no parameter 'alpha'; it has: none"),
    ],
)
def test_an_op_that_there_is_not_is_one_clear_error(settings: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve(ScaleLawSettings(**settings))  # type: ignore[arg-type]


def test_a_frame_for_each_point_and_a_record_for_each_quantity(tmp_path: Path) -> None:
    counts: list[tuple[str, int, int]] = []
    settings = resolve(
        ScaleLawSettings(op="gated-silu", over={"alpha": (0.5, 1.0, 2.0)}, relative_error=0.05)
    )
    progress = lambda *each: counts.append(each)  # noqa: E731
    recording = measure(settings, Workplace(out=tmp_path, progress=progress))
    assert counts == [("measuring gated-silu", done, 3) for done in (1, 2, 3)]
    read = Recording.load(tmp_path)
    assert [frame.point for frame in read.frames] == [{"alpha": a} for a in (0.5, 1.0, 2.0)]
    table = read.frame()
    assert (
        table.groupby("alpha")["kind"].apply(list).tolist()
        == [["output", "gradient of x_in", "gradient of x_gate"]] * 3
    )
    assert set(table["tensor"]) == {"gated-silu"}
    assert (table["count"] >= 16).all()
    again = judge(read, ScaleLawSettings.decode(read.settings))
    assert as_json.dumps(again) == as_json.dumps(judge(recording, settings))
    assert math.isnan(table["absmax"].iloc[0])


def test_the_grid_has_every_combination_up_to_a_limit() -> None:
    assert grid_points({}) == [{}]
    assert grid_points({"a": (1, 2), "b": (0.5,)}) == [{"a": 1, "b": 0.5}, {"a": 2, "b": 0.5}]
    values = tuple(range(1, 102))
    with pytest.raises(InputError, match=f"makes 10201 grid points; {MAX_POINTS} are allowed"):
        grid_points({"a": values, "b": values})


@pytest.mark.parametrize(
    ("written", "values"),
    [
        (["alpha=1..100:3"], (1.0, 10.0, 100.0)),
        ({"alpha": "1..4"}, (1, 2, 4)),
        ({"alpha": [1, "1/2"]}, (1.0, 0.5)),
        ({"alpha": [1, 2.0]}, (1.0, 2.0)),
        ({"alpha": 3}, (3,)),
    ],
)
def test_values_stay_what_they_are_when_they_are_read_again(
    written: object, values: tuple[float, ...]
) -> None:
    once = GRID.convert(written)
    twice = GRID.convert(once)
    assert once == twice == {"alpha": values}
    assert list(map(type, twice["alpha"])) == list(map(type, values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "^'' is not a number"),
        ([0], "^'0' must be positive"),
        ([-1.0], "^'-1.0' must be positive"),
        ([1, 1], "^'1,1' repeats a value"),
        ([True], "^'True' is not a number"),
        (["x"], "^'x' is not a number"),
        ([math.nan], "^'nan' is not a number"),
    ],
)
def test_values_that_make_no_grid_are_refused(values: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRID.convert({"alpha": values})
