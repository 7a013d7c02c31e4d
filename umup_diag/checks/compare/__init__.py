"""Comparing two recordings: which tensors changed, and by how much?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.compare.settings import CompareSettings
from umup_diag.scaling.kinds import Kind

_HERE = "umup_diag.checks.compare"

COMPARE: Check[CompareSettings] = Check(
    name="compare",
    help="""What changed between two recorded runs, tensor by tensor?

    RUN_A and RUN_B are folders with a recording, of any command and of the same one.
    """,
    settings=CompareSettings,
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=tuple(Kind),
    all_help="List every tensor by itself.",
)
