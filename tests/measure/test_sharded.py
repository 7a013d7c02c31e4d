"""Several processes record what one would, in every way that torch shards a model: gloo, CPU."""

from pathlib import Path
from typing import Any

import pytest

from tests.measure import sharded
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left: one start for all cases."""
    folder = tmp_path_factory.mktemp("two")
    sharded.run(2, folder)
    return folder


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What four processes left."""
    folder = tmp_path_factory.mktemp("four")
    sharded.run(4, folder)
    return folder


Recorded = dict[int | None, dict[tuple[str, str], Any]]


def recorded(folder: Path) -> Recorded:
    return {
        frame.step: {(each.tensor, each.kind): each.histogram for each in frame.records}
        for frame in Recording.load(folder).frames
    }


def compare(world: int, together: Path, name: str, tmp_path: Path) -> tuple[Recorded, Recorded]:
    """What one process records and what several did, whose loss and gradients were untouched."""
    for each in sorted(together.glob(f"{name}.failed.*")):
        pytest.fail(each.read_text(), pytrace=False)
    sharded.alone(sharded.TABLES[world][name], world, tmp_path)
    one, several = recorded(tmp_path), recorded(together / name)
    assert list(one) == list(several) == [0, 2]
    assert len({histogram.rms for histogram in one[2].values()}) > 8  # and not all zero
    return one, several


@pytest.mark.parametrize("name", sharded.CASES)
def test_two_processes_record_exactly_what_one_does(tmp_path: Path, two: Path, name: str) -> None:
    one, several = compare(2, two, name, tmp_path)
    assert one == several
    assert (two / f"{name}.warnings.0").read_text() == ""


@pytest.mark.slow  # four processes
@pytest.mark.parametrize("name", sharded.OF_FOUR)
def test_four_processes_record_exactly_what_one_does(tmp_path: Path, four: Path, name: str) -> None:
    one, several = compare(4, four, name, tmp_path)
    assert one == several
    assert (four / f"{name}.warnings.0").read_text() == ""


def test_a_tensor_of_which_ranks_have_summands_is_left_out_and_named(two: Path) -> None:
    (why,) = (two / f"{sharded.SUMMANDS}.warnings.0").read_text().splitlines()
    assert "leaves out up (input): each rank has only a summand" in why
    assert (two / f"{sharded.SUMMANDS}.warnings.1").read_text() == ""
    for records in recorded(two / sharded.SUMMANDS).values():
        assert ("up", Kind.INPUT) not in records
        assert records["up", Kind.WEIGHT].count == 8 * 6  # a copy on each rank, counted once
        assert records["down", Kind.INPUT].count == 4 * 8
