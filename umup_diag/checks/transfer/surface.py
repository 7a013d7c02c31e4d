"""Final losses by size, value and seed, as a recording holds them."""

from collections.abc import Iterable, Mapping
from math import isinf, log2
from statistics import fmean

from umup_diag.measure.loss_curve import final_loss
from umup_diag.recording.frame import Frame

#: log2 of the value → seed → final loss, infinite where the run was given up.
Curve = Mapping[float, Mapping[int, float]]
#: size → curve.
Surface = Mapping[float, Curve]


def surface(frames: Iterable[Frame], *, axis: str, hp: str, steps: int) -> Surface:
    """The final losses of a sweep.

    Args:
        frames: of its recording, one a run.
        axis: that grows.
        hp: that is tuned.
        steps: updates of a run, unless they are the axis.
    """
    found: dict[float, dict[float, dict[int, float]]] = {}
    for frame in frames:
        point = frame.point
        loss = final_loss(frame.losses, int(point.get("steps", steps)))
        values = found.setdefault(point[axis], {}).setdefault(log2(point[hp]), {})
        values[int(point["seed"])] = loss
    return {size: dict(sorted(curve.items())) for size, curve in sorted(found.items())}


def mean_loss(losses: Mapping[int, float]) -> float:
    """Over seeds; infinite if one run was given up."""
    return fmean(losses.values())


def is_finished(losses: Mapping[int, float]) -> bool:
    """Whether all runs came to their end."""
    return not any(map(isinf, losses.values()))
