"""What a comparison of two recordings can be asked."""

from dataclasses import dataclass
from pathlib import Path

from umup_diag.settings.option import Settings, option


@dataclass(frozen=True, kw_only=True)
class CompareSettings(Settings):
    """Two recordings, and how much of a change is one."""

    run_a: Path = option("What to compare with.", is_argument=True)
    run_b: Path = option("What is compared.", is_argument=True)
    band: float = option(
        "Octaves by which a tensor may change and count as the same.", default=0.25, at_least=0
    )
    after: int = option("Leave out the steps before this one.", default=0, at_least=0)
    include: tuple[str, ...] = option("Compare these tensors alone.", default=(), metavar="PATTERN")
    exclude: tuple[str, ...] = option("Leave these out.", default=(), metavar="PATTERN")
