"""What one step of a recorder has gathered so far, from all threads that run its model."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from umup_diag.measure.last_counted import LastCounted
from umup_diag.measure.placement import Placement, local
from umup_diag.numerics.block import BlockFormat
from umup_diag.numerics.block_cast import BlockCast
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording.tensor_record import Sample
from umup_diag.scaling.kinds import Kind

#: Those that are of a parameter, sharded as the optimizer has it.
PARAMETER_KINDS = frozenset({Kind.WEIGHT, Kind.WEIGHT_GRAD, Kind.UPDATE})

_Found = tuple[CodeHistogram, dict[str, BlockCast]]  #: in one tensor


class Thread(threading.local):
    """Where one thread is in the model; replicas of a model run in several."""

    def __init__(self) -> None:
        self.inside: list[str] = []  #: names of the modules that are being called
        self.is_counted = True  #: whether the outermost of them belongs to a pass that is recorded
        self.last: LastCounted[_Found] = LastCounted()


@dataclass(slots=True)
class RecordedStep:
    """What one step has gathered so far.

    Attributes:
        kinds: to record.
        in_training: whether a training loop drives it, in which passes may not count.
        blocks: formats to cast to as well, by name.
        histograms: (tensor, kind) → of all that was added.
        casts: the same → block format → what a cast does.
        samples: tensor → what is known of a sample in its place.
        head_dims: module with attention → its head dimension.
        calls: of each module.
        placed: what lies on a mesh of processes.
        partial: what does as terms of a sum, and is not counted.
        jointly: the ranks that have parts of it.
        thread: where each thread is.
        lock: held while something is added.
        has_begun: whether anything was counted.
        is_open: whether it takes more.
    """

    kinds: Collection[Kind]
    in_training: bool = False
    blocks: Mapping[str, BlockFormat] = field(default_factory=dict)
    histograms: dict[tuple[str, Kind], CodeHistogram] = field(default_factory=dict)
    casts: dict[tuple[str, Kind], dict[str, BlockCast]] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    head_dims: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    placed: set[tuple[str, Kind]] = field(default_factory=set)
    partial: set[tuple[str, Kind]] = field(default_factory=set)
    jointly: set[int] = field(default_factory=set)
    thread: Thread = field(default_factory=Thread)
    lock: threading.Lock = field(default_factory=threading.Lock)
    has_begun: bool = False
    is_open: bool = True

    def add(self, tensor: str, kind: Kind, x: Tensor, placement: Placement | None = None) -> None:
        """Count a tensor, or the part of it that this process alone holds."""
        placement = placement or Placement.of(x)
        if placement is not None and not self._counts(tensor, kind, placement):
            return
        part = local(x.detach())
        found = self.thread.last.get(x, part)
        if found is None:
            casts = {name: BlockCast.of([part], fmt) for name, fmt in self.blocks.items()}
            found = CodeHistogram.of(part), casts
            self.thread.last.keep(x, part, found)
        histogram, casts = found
        with self.lock:
            known = self.histograms.get((tensor, kind))
            self.histograms[tensor, kind] = histogram if known is None else known + histogram
            merged = self.casts.setdefault((tensor, kind), {})
            for name, cast in casts.items():
                merged[name] = merged[name] + cast if name in merged else cast

    def _counts(self, tensor: str, kind: Kind, placement: Placement) -> bool:
        """Whether this process's part of a DTensor counts, and is no copy of another's."""
        with self.lock:
            self.placed.add((tensor, kind))
            if placement.is_partial:
                self.partial.add((tensor, kind))
            if kind not in PARAMETER_KINDS:
                self.jointly.update(placement.ranks)
        return placement.is_first_copy and not placement.is_partial

    def clear(self) -> None:
        """Forget what was gathered."""
        with self.lock:
            for gathered in (
                *(self.histograms, self.casts, self.samples),
                *(self.head_dims, self.calls, self.placed),
            ):
                gathered.clear()
            self.has_begun = False
