"""One folder a check, and the table of checks: a new one is a folder and a line here."""

from collections.abc import Mapping
from typing import Any

from umup_diag.checks.audit import AUDIT
from umup_diag.checks.check import Check
from umup_diag.checks.compare import COMPARE
from umup_diag.checks.coordcheck import COORDCHECK
from umup_diag.checks.coupling import COUPLING
from umup_diag.checks.fp8_range import FP8_RANGE
from umup_diag.checks.scale_law import SCALE_LAW
from umup_diag.checks.transfer import TRANSFER
from umup_diag.checks.unit_scale import UNIT_SCALE

#: name → check, in the order of the command line's help.
CHECKS: Mapping[str, Check[Any]] = {
    check.name: check
    for check in (
        COORDCHECK,
        AUDIT,
        TRANSFER,
        COUPLING,
        UNIT_SCALE,
        FP8_RANGE,
        SCALE_LAW,
        COMPARE,
    )
}
