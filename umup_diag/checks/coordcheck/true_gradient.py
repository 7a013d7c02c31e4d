"""Whether a model's gradients are those of its loss."""

from collections import defaultdict
from math import log2
from statistics import median

from umup_diag.checks.coordcheck.trend import Values, trend
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind
from umup_diag.settings.axes import WIDTH


def gradient_is_true(recording: Recording, axis: str = WIDTH) -> bool:
    """Whether what autograd gives is the gradient of the loss, by what the first update did.

    Unit-scaled ops give gradients of unit size instead, so that the fall of the loss that they
    foretell goes with width to a power that the fall itself does not. Over another axis the power
    may be too small to tell, and the size of what they foretell decides: it is off by octaves.
    """
    ratio: dict[int, dict[int, float]] = defaultdict(dict)
    for frames in recording.runs().values():
        before, after = frames[:2]
        foretold = sum(r.value for r in after.records if r.kind == Kind.LOSS_CHANGE)
        fall = before.losses[-1] - after.losses[-1]
        if fall > 0 and foretold > 0:
            ratio[int(after.point["seed"])][int(after.point[axis])] = foretold / fall
    found = trend(ratio)
    if found is None:
        return True
    is_flat = axis == WIDTH and abs(found.slope) < 0.5
    return is_flat or abs(_typical_octaves(ratio)) < 1.0


def _typical_octaves(ratio: Values) -> float:
    return median(log2(value) for widths in ratio.values() for value in widths.values())
