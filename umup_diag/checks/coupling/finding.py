"""What a coupling check finds."""

from dataclasses import dataclass

from umup_diag.checks.result import Finding, Result

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFinding(Finding):
    """What is lost by tuning one hyperparameter (``tensor``) while another is at any value.

    Attributes:
        fixed: the other.
        error: transfer error of the final paper (Algorithm 1), in nats, the mean over seeds.
        interval: its 95 % interval.
        workshop_error: that of the workshop version (F.1).
        workshop_interval: its 95 % interval.
        allowed: error that passes, in nats.
        values: of the tuned one.
        fixed_values: of the other.
        losses: (fixed, tuned), the mean over seeds.
    """

    fixed: str
    error: float
    interval: Interval
    workshop_error: float
    workshop_interval: Interval
    allowed: float
    values: tuple[float, ...]
    fixed_values: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def place(self) -> tuple[str, ...]:
        """Against which other."""
        return (f"with {self.fixed} at any value",)

    @property
    def measured(self) -> str:
        """The error and what would do."""
        low, high = self.interval
        return f"{self.error:.3f} nats lost ({low:.3f} … {high:.3f}), up to {self.allowed:.3f} pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFinding(Finding):
    """A difference between losses that searches end at.

    Attributes:
        difference: in nats, the mean over seeds; above 0 is worse.
        interval: its 95 % interval.
        allowed: difference that passes.
        independent: least loss after each run of tuning one by one, the mean over seeds.
        random: the same of random search.
    """

    difference: float
    interval: Interval
    allowed: float
    independent: tuple[float, ...] = ()
    random: tuple[float, ...] = ()

    @property
    def measured(self) -> str:
        """The difference and what would do."""
        low, high = self.interval
        return (
            f"{self.difference:+.3f} nats ({low:+.3f} … {high:+.3f}), up to {self.allowed:.3f} pass"
        )


def pair_findings(result: Result) -> list[PairFinding]:
    """The findings of pairs."""
    return [finding for finding in result.findings if isinstance(finding, PairFinding)]


def search_findings(result: Result) -> list[SearchFinding]:
    """The findings of searches."""
    return [finding for finding in result.findings if isinstance(finding, SearchFinding)]
