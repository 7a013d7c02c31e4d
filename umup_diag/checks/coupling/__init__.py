"""The coupling check: can hyperparameters be tuned one by one?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.coupling.settings import CouplingSettings

_HERE = "umup_diag.checks.coupling"

COUPLING = Check(
    name="coupling",
    help="""Can hyperparameters be tuned one by one, or does the best of one depend on another?

    Trains over the grid of every pair and measures what is lost by tuning one with the other at a
    value that is not its best. With --search, tunes all of them one by one and at random instead.

    \b
    umup-diag coupling --model reference_model:mup --hp lr alpha_attn_softmax
    umup-diag coupling --hp lr=1/4..4 alpha_ffn_act=1/4..4 alpha_residual
    umup-diag coupling --search --hp lr alpha_attn_softmax alpha_ffn_act alpha_residual
    """,
    settings=CouplingSettings,
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=("transfer_error", "combination", "search"),
    resolve=Lazy(f"{_HERE}.measure:resolve"),
    is_resumable=True,
)
