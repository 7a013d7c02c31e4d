"""Histograms of all ranks added up, each element once.

The parts travel through the store that the process group was made with, not through a collective.
gloo's destructor waits, with the interpreter's lock held, for a thread that needs the lock to free
the tensors of a finished collective: a race of torch's, which DDP's own all-reduce meets at exit in
a few runs of a hundred (``python -m benchmarks.clean_exits``). Recording adds no collective to it.
Through the store no rank waits for another, but the first for what it writes.
"""

import pickle
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import reduce
from operator import add
from time import sleep

import torch.distributed as dist
from torch import nn
from torch.distributed import distributed_c10d

from umup_diag.errors import InputError
from umup_diag.measure.layers import tensors
from umup_diag.measure.placement import Placement
from umup_diag.recording import TensorRecord
from umup_diag.scaling.kinds import Kind

PATIENCE = timedelta(minutes=1)
"""How long the first rank waits for another's part, once in a run; ranks end a step together, and a
collective of the others, which wait for the first meanwhile, fails after ten minutes."""
SETTLING = 0.1  # seconds
CHUNK = 1 << 20  # bytes; a store refuses values of more than 8 MiB
_CLOSED = "closed"  # a key that the first rank sets when it collects no more
_NOTHING = "nothing"  # in place of a part, from a rank that records no more


@dataclass(slots=True, kw_only=True)
class Ranks:
    """The processes that train together.

    Attributes:
        rank: of this one.
        world: how many.
    """

    rank: int
    world: int
    _mailbox: "_Mailbox | None" = field(default=None, init=False)

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
        self,
        records: tuple[TensorRecord, ...],
        model: nn.Module,
        *,
        placed: Collection[tuple[str, str]] = (),
        jointly: Collection[int] = (),
    ) -> tuple[TensorRecord, ...] | None:
        """All ranks' tensors, on rank 0; what several ranks hold alike is counted once.

        Every rank must call this, as often as the others. Inputs and gradients are of each rank's
        own micro-batches, except where ranks compute jointly: a tensor that all of those have whole
        is the same for all, and one of which each has a piece is not. Which of the two a plain
        tensor is nobody can tell from it, so its histograms decide: those that agree exactly, in
        every count and in the sum of squares, are taken for one tensor.

        Args:
            records: this rank's, histograms.
            model: whose weights they are of.
            placed: tensor and kind of what this rank knows to be pieces of its own.
            jointly: ranks that compute the same micro-batch together with this one.

        Returns:
            The sum on rank 0, by 4 mantissa bits, as it is written; this rank's own part
            elsewhere; None if rank 0 records no more.

        Raises:
            InputError: on rank 0, if another's part does not come within `PATIENCE`, or if another
                rank records no more.
        """
        if self.world == 1:
            return records
        mailbox = self._opened()
        if mailbox.is_closed:
            return None
        weights = {named.name: named.parameter for named in tensors(model)}
        own = []
        for record in records:
            compact = replace(record, statistics=record.histogram.coarsen())
            if record.kind == Kind.WEIGHT:
                placement = Placement.of(weights[record.tensor])
                if placement is None and not self.is_first:  # all ranks have the whole of it
                    continue
                own.append(_Part(compact, placement and placement.piece))
            elif len(jointly) < 2 or (record.tensor, record.kind) in placed:
                own.append(_Part(compact, self.rank))
            else:
                own.append(_Part(compact, (tuple(jointly), compact.histogram)))
        if not self.is_first:
            mailbox.post(self.rank, own)
            return records
        others = [mailbox.collect(rank) for rank in range(1, self.world)]
        mailbox.merges += 1
        found: dict[tuple[str, str], dict[Hashable, TensorRecord]] = {}
        for part in (each for rank in (own, *others) for each in rank):
            pieces = found.setdefault((part.record.tensor, part.record.kind), {})
            pieces.setdefault(part.piece, part.record)
        return tuple(_sum(list(pieces.values())) for pieces in found.values())

    def give_up(self) -> None:
        """Record no more: the others need not wait for this rank, nor fill the store."""
        if self.world == 1:
            return
        if self.is_first:
            self._opened().close()
        else:
            self._opened().post(self.rank, None)

    def settle(self) -> None:
        """At the end of a recording: let torch's threads free what the last collective has left.

        A gloo group that is destroyed before they have may hang; they need the interpreter's lock
        for it, which this lets go of for a moment.
        """
        if self.world > 1:
            sleep(SETTLING)

    def _opened(self) -> "_Mailbox":
        if self._mailbox is None:
            self._mailbox = _Mailbox.open(self.rank)
        return self._mailbox


@dataclass(frozen=True, slots=True)
class _Part:
    """What one rank has of one tensor.

    Attributes:
        record: of those elements.
        piece: which elements they are; parts of a tensor that have the same are the same.
    """

    record: TensorRecord
    piece: Hashable


def _sum(records: Sequence[TensorRecord]) -> TensorRecord:
    return replace(
        records[0],
        statistics=reduce(add, (each.histogram for each in records)),
        blocks={
            name: reduce(add, (each.blocks[name] for each in records)) for name in records[0].blocks
        },
    )


@dataclass(slots=True, kw_only=True)
class _Mailbox:
    """Parts on their way to rank 0, in the store of the default process group.

    Attributes:
        store: with a prefix of this recording's own.
        merges: done so far; part of every key.
    """

    store: distributed_c10d.Store
    merges: int = 0

    @classmethod
    def open(cls, rank: int) -> "_Mailbox":
        """A new one; the n-th that any rank opens is the n-th of every rank."""
        store = distributed_c10d._get_default_store()
        number = store.add(f"umup_diag/mailboxes/{rank}", 1)
        return cls(store=distributed_c10d.PrefixStore(f"umup_diag/{number}", store))

    @property
    def is_closed(self) -> bool:
        """Whether the first rank collects no more."""
        return self.store.check([_CLOSED])

    def close(self) -> None:
        """As the first rank: collect no more."""
        self.store.set(_CLOSED, "")

    def post(self, rank: int, parts: Sequence[_Part] | None) -> None:
        """Send this rank's part, and do not wait for anybody; None says that there is no more."""
        key = f"{self.merges}/{rank}"
        if parts is None:
            self.store.set(key, _NOTHING)
            return
        content = pickle.dumps(parts)
        pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
        for number, piece in enumerate(pieces):
            self.store.set(f"{key}/{number}", piece)  # type: ignore[arg-type]  # bytes will do
        self.store.set(key, str(len(pieces)))
        self.merges += 1

    def collect(self, rank: int) -> Sequence[_Part]:
        """Another rank's part, once it is there; it is then taken out of the store."""
        key = f"{self.merges}/{rank}"
        try:
            self.store.wait([key], PATIENCE)
        except RuntimeError as error:
            raise InputError(
                f"rank {rank} sent no part of a recorded step within {PATIENCE} "
                f"({str(error).splitlines()[0][:80]}).\n"
                "Every rank must enter record(...) and take every step."
            ) from None
        number_of_pieces = self.store.get(key).decode()
        if number_of_pieces == _NOTHING:
            raise InputError(f"rank {rank} records no more; its own output says why.")
        keys = [f"{key}/{number}" for number in range(int(number_of_pieces))]
        content = b"".join(self.store.get(each) for each in keys)
        for each in (key, *keys):
            self.store.delete_key(each)
        parts: Sequence[_Part] = pickle.loads(content)
        return parts
