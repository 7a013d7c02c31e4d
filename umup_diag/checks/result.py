"""The one type that every check returns and every renderer takes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """Three outcomes, as in any honest test: noise must not read as success or as failure."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """What the command line exits with: 0 pass, 1 fail, 3 inconclusive (2 is bad input)."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}[self]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judged quantity of one tensor. Each check adds its own fields by subclassing.

    Attributes:
        tensor: the module or parameter it belongs to, as in ``model.named_modules()``.
        kind: a tensor kind (`umup_diag.measure.recording.Kind`) or an op's input.
        verdict: the outcome.
        cause: why it fails, in words; None when it does not.
        fix: what to change and by how much; None when nothing is known to help.
    """

    tensor: str
    kind: str
    verdict: Verdict
    cause: str | None = None
    fix: str | None = None

    def document(self) -> dict[str, Any]:
        """What ``result.json`` says of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a check found, under which settings, in which environment.

    Attributes:
        command: the check's name, as on the command line.
        settings: every setting that the findings depend on.
        environment: interpreter, torch, platform and seed.
        findings: one per judged quantity, worst first.
        notes: what the reader should know and no finding says, one sentence each.
    """

    command: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings; nothing judged is INCONCLUSIVE, never a pass."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.FAIL in verdicts:
            return Verdict.FAIL
        if Verdict.INCONCLUSIVE in verdicts or not verdicts:
            return Verdict.INCONCLUSIVE
        return Verdict.PASS
