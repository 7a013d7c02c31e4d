"""The loss scale of a user's own loop: taken out of grad-outputs, and a skipped step left out."""

from pathlib import Path

import pytest
import torch
from torch import nn

import umup_diag
from umup_diag.recording import Frame, Recording
from umup_diag.scaling.kinds import Kind


def train(to: Path, scale: float, *, bad: tuple[int, ...] = (), micro_batches: int = 1) -> None:
    """Four steps in float32, so that any scale gives the same gradients, times itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    with umup_diag.record(net, every=1, to=to, scaler=scaler):
        for step in range(4):
            for _ in range(micro_batches):
                loss = net(torch.randn(4, 8)).square().mean()
                scaler.scale(loss * (float("inf") if step in bad else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def frames(folder: Path) -> list[Frame]:
    return Recording.load(folder).frames


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_any_scale_gives_the_same_recording(tmp_path: Path, micro_batches: int) -> None:
    for name, scale in (("one", 1.0), ("large", 2.0**16)):
        train(tmp_path / name, scale, micro_batches=micro_batches)
    assert frames(tmp_path / "one") == frames(tmp_path / "large")


def test_a_scale_that_is_no_power_of_two_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="loss scale 1000 is no power of two.*0.977 times"):
        train(tmp_path, 1000.0)


def test_a_skipped_step_is_not_recorded_and_the_next_is_whole(tmp_path: Path) -> None:
    train(tmp_path, 2.0**10, bad=(1,))
    recorded = frames(tmp_path)
    assert [frame.step for frame in recorded] == [0, 1, 2]  # three updates were made
    for frame in recorded:
        counts = {record.statistics.count for record in frame.records if record.tensor == "1"}
        assert counts == {4 * 8, 8 * 4, 4 * 4}
        assert all(record.statistics.nonfinite_count == 0 for record in frame.records)
        assert {record.kind for record in frame.records} == {
            Kind.INPUT,
            Kind.WEIGHT,
            Kind.GRAD_OUTPUT,
        }
