"""The verdict on a finding, and on an interval."""

from enum import StrEnum


class Verdict(StrEnum):
    """Three outcomes, as in any honest test: noise must not read as success or as failure."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """What the command line exits with: 0 pass, 1 fail, 3 inconclusive (2 is bad input)."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}[self]

    @property
    def severity(self) -> int:
        """To sort by, worst first."""
        return [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS].index(self)


def equivalence(interval: tuple[float, float], band: tuple[float, float]) -> Verdict:
    """Judge an interval against the band of values that count as right.

    PASS when the whole interval lies inside the band, FAIL when it lies wholly outside (a
    non-finite end included), INCONCLUSIVE otherwise: two one-sided tests, so a wide interval can
    never pass.

    Args:
        interval: lower and upper end of the measured quantity's 95 % interval.
        band: lower and upper end of what is acceptable, ends included.
    """
    low, high = interval
    if low >= band[0] and high <= band[1]:
        return Verdict.PASS
    if high < band[0] or low > band[1]:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE
