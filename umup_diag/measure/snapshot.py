"""What a model's tensors hold at one moment: a checkpoint, or one step of training."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from umup_diag.numerics.block import BlockCast
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.scaling.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorHistogram:
    """One tensor at one moment.

    Attributes:
        tensor: the layer's name, or the tensor's in a checkpoint.
        kind: of tensor.
        order: place in the forward pass, or in the checkpoint.
        histogram: of all its elements.
        blocks: block format → what casting to it does; empty unless it was asked for.
    """

    tensor: str
    kind: Kind
    order: int
    histogram: CodeHistogram
    blocks: Mapping[str, BlockCast] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All tensors at one moment.

    Attributes:
        step: updates done by then; None where nobody knows.
        losses: of the updates since the snapshot before, where there is a loss.
        tensors: in the order of the forward pass.
    """

    step: int | None
    losses: tuple[float, ...] = ()
    tensors: tuple[TensorHistogram, ...]
