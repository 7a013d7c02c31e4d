"""The transfer check: does the best learning rate stay where it is as the model grows?"""

from umup_diag.checks.check import Check, Lazy
from umup_diag.checks.transfer.settings import TransferSettings

_HERE = "umup_diag.checks.transfer"

TRANSFER = Check(
    name="transfer",
    help="""Does the optimum of a hyperparameter transfer: stay where it is as the model grows?

    Trains at several sizes, looks for the best value at each, coarsely and then finely, and judges
    how far it drifts against how far the loss can feel.

    \b
    umup-diag transfer
    umup-diag transfer --model reference_model:sp
    umup-diag transfer --model mypkg.mymodel --over width=64..512 --lr 1e-4..1e-1
    umup-diag transfer --over depth=2..16 width=64
    umup-diag transfer --hp alpha_attn_softmax
    """,
    settings=TransferSettings,
    measure=Lazy(f"{_HERE}.measure:measure"),
    judge=Lazy(f"{_HERE}.judge:judge"),
    view=Lazy(f"{_HERE}.view:view"),
    kinds=("drift",),
    resolve=Lazy(f"{_HERE}.measure:resolve"),
    is_resumable=True,
)
