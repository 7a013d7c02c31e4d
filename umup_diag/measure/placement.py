"""Where a process stands among those that share a tensor: torch's DTensor, read and not changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a DTensor lies on its mesh, seen from this process.

    Along each dimension of the mesh a process has a piece of its own (Shard, even or not), the same
    as its neighbours (Replicate), or one summand of the tensor (Partial).

    Attributes:
        ranks: of the processes on the mesh.
        piece: this process's coordinates along the dimensions that shard; two processes that have
            the same ones hold the same elements, on another mesh of this shape too.
        copy: its coordinates along those that replicate.
        is_partial: whether it has a summand only. What the sum is distributed like cannot be told
            from the summands.
    """

    ranks: tuple[int, ...]
    piece: tuple[int, ...]
    copy: tuple[int, ...]
    is_partial: bool

    @classmethod
    def of(cls, x: Tensor) -> Self | None:
        """The placement of a DTensor; None for any other tensor."""
        placements: tuple[Any, ...] | None = getattr(x, "placements", None)
        if placements is None:
            return None
        mesh = x.device_mesh  # type: ignore[attr-defined]
        at = mesh.get_coordinate()
        pairs = list(zip(at, placements, strict=True)) if at else []
        return cls(
            ranks=tuple(mesh.mesh.flatten().tolist()),
            piece=tuple(place for place, how in pairs if not how.is_replicate()),
            copy=tuple(place for place, how in pairs if how.is_replicate()),
            is_partial=any(how.is_partial() for _, how in pairs),
        )

    def encode(self) -> list[int]:
        """As integers, which can be compiled into a graph."""
        counts = (len(self.ranks), len(self.piece))
        return [int(self.is_partial), *counts, *self.ranks, *self.piece, *self.copy]

    @classmethod
    def decode(cls, written: Sequence[int]) -> Self:
        """Read back what `encode` wrote."""
        is_partial, ranks, pieces, *rest = written
        return cls(
            ranks=tuple(rest[:ranks]),
            piece=tuple(rest[ranks : ranks + pieces]),
            copy=tuple(rest[ranks + pieces :]),
            is_partial=bool(is_partial),
        )

    @property
    def is_first_copy(self) -> bool:
        """Whether no process before this one on the mesh holds the same elements."""
        return not any(self.copy)


def local(x: Tensor) -> Tensor:
    """What this process holds of a DTensor, once it has arrived; any other tensor as it is."""
    to_local, wait = getattr(x, "to_local", None), None
    if to_local is not None:
        x = to_local()
    if type(x).__name__ == "AsyncCollectiveTensor":  # its class is slow to import
        wait = x.wait  # type: ignore[attr-defined]
    part: Tensor = x if wait is None else wait()
    return part
