"""One pass over the tensors of a checkpoint."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

from umup_diag.measure.checkpoint.checkpoint import StoredTensor
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.numerics.block_cast import BlockCast
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, TensorRecord
from umup_diag.scaling.kinds import Kind


def scan(
    tensors: Sequence[StoredTensor],
    *,
    step: int | None = None,
    blocks: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Frame:
    """Count every element of every tensor, a piece at a time.

    Args:
        tensors: to count.
        step: updates that the checkpoint has seen.
        blocks: block formats to cast to as well, a pass over the tensor for each.
        progress: called after each tensor with how many are done, and of how many.
    """
    records = []
    for order, tensor in enumerate(tensors):
        records.append(_count(tensor, order, blocks))
        if progress is not None:
            progress(order + 1, len(tensors))
    return Frame(step=step, records=tuple(records))


def _count(tensor: StoredTensor, order: int, blocks: Sequence[str]) -> TensorRecord:
    histogram = reduce(add, map(CodeHistogram.of, tensor.parts()), CodeHistogram.empty())
    return TensorRecord(
        tensor=tensor.name,
        kind=Kind.WEIGHT,
        statistics=histogram,
        order=order,
        blocks={
            name: BlockCast.of(tensor.parts(), BLOCK_FORMATS[name], absmax=histogram.absmax)
            for name in blocks
        },
    )
