"""The coord check: does each tensor grow with width as its scheme says, and which does not?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.scaling.kinds import Kind

_HERE = "umup_diag.checks.coordcheck"

COORDCHECK = Check(
    name="coordcheck",
    help="Train a few steps at several widths, and hold each tensor's growth to µP's.",
    settings=CoordcheckSettings,
    resolve=Lazy(f"{_HERE}.measure:resolve"),
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=tuple(Kind),
    is_resumable=True,
    all_help="List every finding by itself.",
)
