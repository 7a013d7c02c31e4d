"""The audit: what each parameter starts at and is trained with, over width, without training."""

from umup_diag.checks.audit.settings import AuditSettings
from umup_diag.checks.check import Check, Lazy
from umup_diag.scaling.kinds import Kind

_HERE = "umup_diag.checks.audit"

AUDIT = Check(
    name="audit",
    help="""List what each parameter starts at and is trained with, and hold it to a scheme's row.

    Nothing is trained: powers of width come from small models, shapes and rates at --width from one
    without memory.
    """,
    settings=AuditSettings,
    resolve=Lazy(f"{_HERE}.measure:resolve"),
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=(
        Kind.HELD,
        Kind.BASE_SHAPE,
        Kind.WEIGHT,
        Kind.RATE,
        Kind.GIVEN_RATE,
        Kind.SCHEDULED,
        Kind.WEIGHT_DECAY,
        Kind.EPSILON,
        Kind.ATTENTION_LOGITS,
    ),
    all_help="List every finding by itself.",
)
