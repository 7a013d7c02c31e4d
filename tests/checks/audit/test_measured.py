"""The interval of an initial RMS covers its power as often as it says."""

import numpy as np

from umup_diag.checks.audit.measured import Measured
from umup_diag.recording import Frame, Recording, TensorRecord, Value
from umup_diag.scaling.kinds import Kind

TRIALS, POWER = 1500, -0.5


def drawn(seed: int) -> Recording:
    """RMS of so many normal numbers, at three widths and two seeds."""
    random = np.random.default_rng(seed)
    frames = []
    for width, count in ((8, 8 * 16), (16, 16 * 16), (32, 32 * 16)):
        for index in range(2):
            rms = float(width**POWER * (random.chisquare(count) / count) ** 0.5)
            record = TensorRecord(
                tensor="w", kind=Kind.WEIGHT, statistics=Value(value=rms, count=count)
            )
            frames.append(Frame(point={"width": width, "seed": index}, step=0, records=(record,)))
    return Recording(command="audit", settings={}, environment={}, frames=frames)


def test_the_interval_of_an_initial_rms_misses_one_time_in_twenty() -> None:
    """Within three standard deviations of a binomial; half or twice the variance is far outside."""
    hits = 0
    for seed in range(TRIALS):
        found = Measured(drawn(seed)).init("w")
        assert found is not None
        hits += found.low <= POWER <= found.high
    assert abs(hits / TRIALS - 0.95) < 3 * (0.95 * 0.05 / TRIALS) ** 0.5
