"""The coord check: does each tensor learn at every width as its scheme says, and which not?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.scaling.kinds import Kind

_HERE = "umup_diag.checks.coordcheck"

COORDCHECK = Check(
    name="coordcheck",
    help="Train a few steps at several widths, and hold what each tensor does to µP's rules.",
    settings=CoordcheckSettings,
    resolve=Lazy(f"{_HERE}.measure:resolve"),
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=(
        Kind.ATTENTION_LOGITS,
        Kind.GAIN,
        Kind.LOSS_CHANGE,
        Kind.UPDATE_GAIN,
        Kind.WEIGHT_NORM,
        Kind.UPDATE_NORM,
        Kind.RATE,
        Kind.ATTENTION_LOGITS_CHANGE,
        Kind.GRADIENT_PASSED,
        Kind.WEIGHT_DECAY,
        Kind.EPS_SHARE,
    ),
    is_resumable=True,
    all_help="List every finding by itself.",
)
