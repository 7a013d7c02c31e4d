"""Histograms of all ranks added up, each element once."""

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import torch.distributed as dist
from torch import nn

from umup_diag.measure.layers import tensors
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The processes that train together.

    Attributes:
        rank: of this one.
        world: how many.
    """

    rank: int
    world: int

    @classmethod
    def current(cls) -> "Ranks":
        """Of the default process group; one rank where there is none."""
        if dist.is_available() and dist.is_initialized():
            return cls(rank=dist.get_rank(), world=dist.get_world_size())
        return cls(rank=0, world=1)

    @property
    def is_first(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def merge(
        self, records: tuple[TensorRecord, ...], model: nn.Module
    ) -> tuple[TensorRecord, ...]:
        """All ranks' tensors, on rank 0; what every rank holds alike is counted once.

        Every rank must call this. Inputs and gradients are of each rank's own micro-batches.

        Returns:
            The sum on rank 0, this rank's own part elsewhere.
        """
        if self.world == 1:
            return records
        once = {named.name for named in tensors(model) if not self._holds_own(named.parameter)}
        own = [each for each in records if each.kind != Kind.WEIGHT or each.tensor not in once]
        gathered: list[Any] | None = [None] * self.world if self.is_first else None
        dist.gather_object(own, gathered)
        if gathered is None:
            return records
        parts: dict[tuple[str, str], list[TensorRecord]] = {}
        for record in (each for rank in gathered for each in rank):
            parts.setdefault((record.tensor, record.kind), []).append(record)
        return tuple(
            replace(found[0], statistics=reduce(add, (each.histogram for each in found)))
            for found in parts.values()
        )

    def _holds_own(self, parameter: nn.Parameter) -> bool:
        """Whether this rank's part of a parameter is one that no lower rank has."""
        mesh = getattr(parameter, "device_mesh", None)
        if mesh is None:  # not sharded: all ranks have the whole of it
            return self.is_first
        at = mesh.get_coordinate() or []
        return all(
            place == 0
            for place, placement in zip(at, parameter.placements, strict=True)  # type: ignore[attr-defined]
            if placement.is_replicate()
        )
