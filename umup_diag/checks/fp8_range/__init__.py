"""The FP8 range check: does every tensor fit in its format, now and as training goes on?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.fp8_range.settings import FileRangeSettings, RangeSettings, RunRangeSettings
from umup_diag.scaling.kinds import Kind

_HERE = "umup_diag.checks.fp8_range"

FP8_RANGE: Check[RangeSettings] = Check(
    name="fp8-range",
    help="""Will this checkpoint, or this training run, fit in FP8?

    SOURCES are checkpoints (safetensors, .pt, a sharded or a torch.distributed folder), several of
    one run for a trend, or one folder that `umup-diag record` wrote.
    """,
    settings=FileRangeSettings,
    planned=RunRangeSettings,
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=(Kind.INPUT, Kind.WEIGHT, Kind.GRAD_OUTPUT),
    all_help="List every tensor by itself.",
)
