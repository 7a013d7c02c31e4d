"""The unit-scale check: is every tensor's RMS 1 at init, or what u-µP's own rules leave it at?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.unit_scale.settings import UnitScaleSettings
from umup_diag.scaling.unit_expectations import KINDS

_HERE = "umup_diag.checks.unit_scale"

UNIT_SCALE = Check(
    name="unit-scale",
    help="Look at each tensor's RMS at init, and hold it to 1 or to what u-µP says instead.",
    settings=UnitScaleSettings,
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=tuple(KINDS),
    all_help="List every finding by itself.",
)
