"""Which tensors of models of different depth are the same, by their names alone."""

from collections.abc import Mapping

import pytest

from umup_diag.checks.coordcheck.evidence import Evidence
from umup_diag.checks.coordcheck.line import line
from umup_diag.errors import InputError
from umup_diag.recording import Frame, Recording, TensorRecord, Value
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans


def recording(models: Mapping[int, list[str]]) -> Recording:
    """A model with these tensors at each depth; the i-th tensor's loss change is i + 1."""
    found = Recording(command="coordcheck", settings={}, environment={})
    for depth, names in models.items():
        records = tuple(
            TensorRecord(
                tensor=name,
                kind=Kind.LOSS_CHANGE,
                statistics=Value(value=at + 1.0, count=4),
                order=at,
                fans=Fans(fan_in=2, fan_out=2),
            )
            for at, name in enumerate(names)
        )
        point = {"width": 32, "depth": depth, "seed": 0}
        found.append(Frame(point=point, step=1, losses=(1.0 / depth,), records=records))
    return found


def matched(models: Mapping[int, list[str]], depth: int) -> dict[str, float]:
    along = line(recording(models), "depth", {"width": 32, "depth": 2})
    (frame,) = (each for each in along.frames if each.point["depth"] == depth)
    return {record.tensor: record.value for record in frame.records}


def blocks(depth: int, name: str = "h.{}.up") -> list[str]:
    return [name.format(block) for block in range(depth)]


def test_first_middle_last_and_the_sum_of_a_stack() -> None:
    models = {depth: ["emb", *blocks(depth), "head"] for depth in (2, 5)}
    assert matched(models, 2) == {
        "emb": 1,
        "h[first].up": 2,
        "h[middle].up": 3,
        "h[last].up": 3,
        "h[all].up": 5,
        "head": 4,
    }
    assert matched(models, 5) == {
        "emb": 1,
        "h[first].up": 2,
        "h[middle].up": 4,
        "h[last].up": 6,
        "h[all].up": 2 + 3 + 4 + 5 + 6,
        "head": 7,
    }


def test_a_number_that_does_not_grow_is_part_of_a_name() -> None:
    models = {depth: blocks(depth, "h.{}.expert.0.up") for depth in (2, 3)}
    assert set(matched(models, 3)) == {
        f"h[{place}].expert.0.up" for place in ("first", "middle", "last", "all")
    }


def test_stacks_beside_each_other_each_have_their_places() -> None:
    models = {
        depth: blocks(depth, "encoder.{}.up") + blocks(2 * depth, "decoder.{}.up")
        for depth in (1, 2)
    }
    found = matched(models, 2)
    assert found["encoder[last].up"] == 2
    assert found["decoder[last].up"] == 2 + 4


def test_the_layers_of_a_sequential_model_are_a_stack_of_no_name() -> None:
    assert "[last].up" in matched({depth: blocks(depth, "{}.up") for depth in (2, 3)}, 3)


def test_runs_off_the_line_are_left_out() -> None:
    both = recording({2: blocks(2), 4: blocks(4)})
    both.append(Frame(point={"width": 64, "depth": 2, "seed": 0}, step=1, losses=(1.0,)))
    assert [f.point["depth"] for f in line(both, "depth", {"width": 32, "depth": 2}).frames] == [
        2,
        4,
    ]
    assert [f.point["width"] for f in line(both, "width", {"width": 32, "depth": 2}).frames] == [
        32,
        64,
    ]


def test_a_tensor_without_a_counterpart_is_refused() -> None:
    models = {2: ["emb", *blocks(2)], 4: ["emb", *blocks(4), "extra"]}
    with pytest.raises(InputError, match="'extra' exists in only one of them"):
        Evidence.of(line(recording(models), "depth", {"width": 32, "depth": 2}), "depth")
