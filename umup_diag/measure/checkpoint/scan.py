"""One pass over the tensors of a checkpoint."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

from umup_diag.numerics.block import SELF_SCALED, BlockCast
from umup_diag.measure.checkpoint.checkpoint import StoredTensor
from umup_diag.measure.snapshot import Snapshot, TensorHistogram
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind


def scan(
    tensors: Sequence[StoredTensor],
    *,
    step: int | None = None,
    blocks: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Snapshot:
    """Count every element of every tensor, a piece at a time.

    Args:
        tensors: to count.
        step: of the checkpoint.
        blocks: block formats whose casts are wanted too; these take several passes.
        progress: called with how many tensors are done.
    """
    found = []
    for order, tensor in enumerate(tensors):
        found.append(_count(tensor, order, blocks))
        if progress is not None:
            progress(order + 1)
    return Snapshot(step=step, tensors=tuple(found))


def _count(tensor: StoredTensor, order: int, blocks: Sequence[str]) -> TensorHistogram:
    return TensorHistogram(
        tensor=tensor.name,
        kind=Kind.WEIGHT,
        order=order,
        histogram=reduce(add, map(CodeHistogram.of, tensor.parts()), CodeHistogram.empty()),
        blocks={name: BlockCast.of(tensor.parts(), SELF_SCALED[name]) for name in blocks},
    )
