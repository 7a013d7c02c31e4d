"""Histograms of all ranks added up, each element once.

The parts travel through the store that the process group was made with, not through a collective.
gloo's destructor waits, with the interpreter's lock held, for a thread that needs the lock to free
the tensors of a finished collective: a race of torch's, which DDP's own all-reduce meets at exit in
a few runs of a hundred (``python -m benchmarks.clean_exits``). Recording adds no collective to it.
Through the store no rank waits for another, but the first for what it writes.
"""

import pickle
from collections.abc import Sequence
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
        self, records: tuple[TensorRecord, ...], model: nn.Module
    ) -> tuple[TensorRecord, ...] | None:
        """All ranks' tensors, on rank 0; what every rank holds alike is counted once.

        Every rank must call this, as often as the others. Inputs and gradients are of each rank's
        own micro-batches.

        Returns:
            The sum on rank 0, this rank's own part elsewhere; None if rank 0 records no more.

        Raises:
            InputError: on rank 0, if another's part does not come within `PATIENCE`, or if another
                rank records no more.
        """
        if self.world == 1:
            return records
        mailbox = self._opened()
        if mailbox.is_closed:
            return None
        once = {named.name for named in tensors(model) if not self._holds_own(named.parameter)}
        own = [each for each in records if each.kind != Kind.WEIGHT or each.tensor not in once]
        if not self.is_first:
            mailbox.post(self.rank, own)
            return records
        others = [mailbox.collect(rank) for rank in range(1, self.world)]
        mailbox.merges += 1
        parts: dict[tuple[str, str], list[TensorRecord]] = {}
        for record in (each for rank in (own, *others) for each in rank):
            parts.setdefault((record.tensor, record.kind), []).append(record)
        return tuple(
            replace(
                found[0],
                statistics=reduce(add, (each.histogram for each in found)),
                blocks={
                    name: reduce(add, (each.blocks[name] for each in found))
                    for name in found[0].blocks
                },
            )
            for found in parts.values()
        )

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


@dataclass(slots=True, kw_only=True)
class _Mailbox:
    """Records on their way to rank 0, in the store of the default process group.

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

    def post(self, rank: int, records: Sequence[TensorRecord] | None) -> None:
        """Send this rank's part, and do not wait for anybody; None says that there is no more."""
        key = f"{self.merges}/{rank}"
        if records is None:
            self.store.set(key, _NOTHING)
            return
        content = pickle.dumps(records)
        pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
        for number, piece in enumerate(pieces):
            self.store.set(f"{key}/{number}", piece)  # type: ignore[arg-type]  # bytes will do
        self.store.set(key, str(len(pieces)))
        self.merges += 1

    def collect(self, rank: int) -> Sequence[TensorRecord]:
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
        records: Sequence[TensorRecord] = pickle.loads(content)
        return records
