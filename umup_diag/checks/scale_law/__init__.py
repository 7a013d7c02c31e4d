"""The scale-law check: does a line of Python describe an op's scale, and do published laws?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.scale_law.settings import ScaleLawSettings

_HERE = "umup_diag.checks.scale_law"

SCALE_LAW = Check(
    name="scale-law",
    help="""Fit an op's scale by Monte-Carlo, and compare it with the published law.

    OP is attention, full-attention, gated-silu, silu, gelu, relu, softmax, cross-entropy, or your
    own as pkg.mod:function. It is called with --inputs unit-normal tensors, and with the --over
    parameters by keyword.

    \b
    umup-diag scale-law attention
    umup-diag scale-law mypkg.ops:relu2_glu --inputs 2 --over alpha=1/8..8
    umup-diag scale-law attention --no-causal --over s=64..4096 d_head=16..128 alpha=1/4..4
    """,
    settings=ScaleLawSettings,
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=("output",),
    resolve=Lazy(f"{_HERE}.measure:resolve"),
)
