"""The runs along one axis, with the layers of stacks that grow matched by their place.

Models of different depth share no names: what is compared is the first block, the middle one, the
last, and the sum over all of them. A stack is found from names alone: an integer between dots that
runs from 0 to one less than a number that grows along the axis.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from umup_diag.recording import Frame, Recording, TensorRecord, Value
from umup_diag.report.names import PLACES
from umup_diag.scaling.kinds import Kind
from umup_diag.settings.axes import WIDTH

ALL = "all"  #: the sum over a stack
_PLACE = re.compile(rf"\[(?:{'|'.join(PLACES)})\]")
_TOTAL = re.compile(rf"\[{ALL}\]")


def line(recording: Recording, axis: str, base: Mapping[str, int]) -> Recording:
    """The frames along an axis, every other axis at its base, with stacks matched by place.

    Over width no stack is to grow.
    """
    frames = [
        frame
        for frame in recording.frames
        if all(frame.point.get(name, size) == size for name, size in base.items() if name != axis)
    ]
    return Recording(
        command=recording.command,
        settings=recording.settings,
        environment=recording.environment,
        frames=frames if axis == WIDTH else list(_matched(frames, axis)),
    )


def is_in_stack(tensor: str) -> bool:
    """Whether it is a tensor at a place in a stack, or the sum over one."""
    return bool(_PLACE.search(tensor)) or is_total(tensor)


def is_total(tensor: str) -> bool:
    """Whether it stands for the sum over a stack."""
    return bool(_TOTAL.search(tensor))


def at_first(tensor: str) -> str:
    """The same tensor of the first block, for that of the sum."""
    return _TOTAL.sub("[first]", tensor)


@dataclass(frozen=True, slots=True)
class _Stack:
    """Blocks ``prefix.0``, ``prefix.1``, … whose number grows."""

    prefix: str
    blocks: Mapping[int, int]  #: size along the axis → how many

    def index(self, tensor: str) -> tuple[int, str] | None:
        """Number of a tensor's block, and its name after that; None if it is in none."""
        found = re.fullmatch(rf"{re.escape(self.prefix)}(\d+)(\..*|)", tensor)
        return None if found is None else (int(found[1]), found[2])

    def name(self, place: str, rest: str) -> str:
        """As findings call it: ``layers[first].attention.q``."""
        return f"{self.prefix.removesuffix('.')}[{place}]{rest}"


def _matched(frames: Sequence[Frame], axis: str) -> Iterator[Frame]:
    stacks = _stacks(frames, axis)
    for frame in frames:
        size = int(frame.point[axis])
        yield replace(frame, records=tuple(_placed(frame.records, stacks, size)))


def _placed(
    records: Sequence[TensorRecord], stacks: Sequence[_Stack], size: int
) -> Iterator[TensorRecord]:
    totals: dict[str, list[TensorRecord]] = defaultdict(list)
    for record in records:
        found = ((each, each.index(record.tensor)) for each in stacks)
        stack, index = next(((each, at) for each, at in found if at), (None, None))
        if stack is None or index is None:
            yield record
            continue
        block, rest = index
        blocks = stack.blocks[size]
        for place, own in zip(PLACES, (0, blocks // 2, blocks - 1), strict=True):
            if own == block:
                yield replace(record, tensor=stack.name(place, rest))
        if record.kind == Kind.LOSS_CHANGE:
            totals[stack.name(ALL, rest)].append(record)
    for name, every in totals.items():
        value = Value(
            value=sum(each.value for each in every),
            count=sum(each.statistics.count for each in every),
        )
        yield replace(every[0], tensor=name, statistics=value)


def _stacks(frames: Sequence[Frame], axis: str) -> list[_Stack]:
    """The outermost stacks that grow along an axis."""
    names: dict[int, set[str]] = defaultdict(set)
    for frame in frames:
        names[int(frame.point[axis])] |= {record.tensor for record in frame.records}
    indices: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for size, tensors in names.items():
        for tensor in tensors:
            parts = tensor.split(".")
            for at, part in enumerate(parts):
                if part.isdecimal():
                    prefix = "".join(f"{each}." for each in parts[:at])
                    indices[prefix][size].add(int(part))
    growing = [
        _Stack(prefix, {size: len(each) for size, each in sizes.items()})
        for prefix, sizes in sorted(indices.items(), key=lambda item: len(item[0]))
        if sizes.keys() == names.keys()
        and all(each == set(range(len(each))) for each in sizes.values())
        and len(sizes[max(sizes)]) > len(sizes[min(sizes)])
    ]
    outer: list[_Stack] = []
    for stack in growing:
        if not any(stack.prefix.startswith(each.prefix) for each in outer):
            outer.append(stack)
    return outer
