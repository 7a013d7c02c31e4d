"""A checkpoint on disk: its tensors by name, each read only when it is asked for."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor

from umup_diag.errors import InputError

#: Parts of a name that say that a tensor is an optimizer's, not the model's.
_OPTIMIZER_PARTS = re.compile(
    r"(optim|optimizer|optimizers|scheduler|schedulers|lr_scheduler|lr_schedulers)"
    r"(_state|_states|_state_dict)?",
)
MAX_DIMENSIONS = 64  #: of a tensor of torch's
_OPTIMIZER_STATE = frozenset({"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"})
_SCALE = re.compile(r"(?P<owner>.*?)_scales?(_inv|_2)?")
_STEP = re.compile(r"(?<![a-z])(?:global_?step|step|iter|iteration)[-_=]?(\d+)", re.IGNORECASE)
_NUMBERED = re.compile(r"checkpoint[-_](\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """One tensor of a checkpoint, not read yet.

    Attributes:
        name: as the checkpoint has it; nested dictionaries joined by dots.
        dtype: as stored; None where torch has none for it (packed 4- and 6-bit floats).
        shape: of the whole tensor.
        parts: opens its parts, which together hold every element once. They are mapped, not
            copied, except in files of torch before 1.6; do not write to them.
    """

    name: str
    dtype: torch.dtype | None
    shape: tuple[int, ...]
    parts: Callable[[], Iterable[Tensor]]

    @property
    def is_float(self) -> bool:
        """Whether its elements are floating-point numbers that torch can read."""
        return self.dtype is not None and self.dtype.is_floating_point

    @property
    def is_float8(self) -> bool:
        """Whether its elements are 8-bit floats with a mantissa."""
        return self.is_float and self.dtype is not None and self.dtype.itemsize == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The tensors of one file or folder.

    Attributes:
        path: what was opened.
        tensors: in the order in which the checkpoint holds them.
    """

    path: Path
    tensors: tuple[StoredTensor, ...]

    @property
    def step(self) -> int | None:
        """The training step in the checkpoint's name: step-2000, iter_0002000, checkpoint-2000."""
        name = self.path.name or self.path.resolve().name
        found = _STEP.search(name) or _NUMBERED.search(name)
        return int(found.group(1)) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tensors of a checkpoint that are judged.

    Attributes:
        tensors: to judge.
        left_out: what is not judged and why, a sentence for each reason.
        cautions: what to keep in mind about those that are, a sentence each.
    """

    tensors: tuple[StoredTensor, ...]
    left_out: tuple[str, ...]
    cautions: tuple[str, ...]


def select(
    checkpoint: Checkpoint, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Selection:
    """Choose the tensors that a matmul would cast: floats of two dimensions or more.

    Left out by default are optimizer state, vectors (norm gains and biases stay in high precision),
    and the scales of tensors that are stored in FP8.

    Args:
        checkpoint: whose tensors.
        include: patterns as in a shell; if there are any, they alone decide, so that ``*`` takes
            every float in the file.
        exclude: patterns of what to drop, whatever the rest says.

    Raises:
        InputError: if nothing is left.
    """
    parents = {_parent(t.name) for t in checkpoint.tensors if t.is_float8}
    chosen: list[StoredTensor] = []
    reasons: Counter[str] = Counter()
    for tensor in checkpoint.tensors:
        reason = _reason_to_leave_out(tensor, parents, include, exclude)
        if reason is None:
            chosen.append(tensor)
        else:
            reasons[reason] += 1
    left_out = [f"Not judged: {_tensors(reasons[each])} {each}." for each in sorted(reasons)]
    if not chosen:
        raise InputError(
            f"{checkpoint.path}: no tensor is left to judge. {' '.join(left_out)}\n"
            "Choose with --include PATTERN; '*' takes every floating-point tensor."
        )
    cautions = []
    if float8 := sum(tensor.is_float8 for tensor in chosen):
        cautions.append(
            f"{_tensors(float8)} stored in FP8: judged are the stored codes, before any scale is "
            "applied."
        )
    return Selection(tensors=tuple(chosen), left_out=tuple(left_out), cautions=tuple(cautions))


def is_optimizer_state(name: str) -> bool:
    """Whether a tensor of that name belongs to an optimizer or a scheduler."""
    parts = name.split(".")
    return parts[-1] in _OPTIMIZER_STATE or any(map(_OPTIMIZER_PARTS.fullmatch, parts[:-1]))


def _reason_to_leave_out(
    tensor: StoredTensor, float8_parents: set[str], include: Sequence[str], exclude: Sequence[str]
) -> str | None:
    """Why a tensor is not judged, as words after "3 tensors"; None if it is."""
    if any(fnmatchcase(tensor.name, pattern) for pattern in exclude):
        return "that --exclude names"
    if not tensor.is_float:
        return "of integers, or of a type that torch cannot read"
    if include:
        wanted = any(fnmatchcase(tensor.name, pattern) for pattern in include)
        return None if wanted else "that --include does not name"
    if is_optimizer_state(tensor.name):
        return "of optimizer state"
    if is_scale(tensor, float8_parents):
        return "that are scales of others"
    if len(tensor.shape) < 2:
        return "of fewer than two dimensions, which no matmul casts"
    return None


def is_scale(tensor: StoredTensor, float8_parents: set[str]) -> bool:
    """Whether it scales a tensor stored in FP8 beside it: ``weight_scale_inv`` and the like.

    Args:
        tensor: the one in question.
        float8_parents: names of the modules that hold a tensor stored in FP8.
    """
    if tensor.dtype is torch.float8_e8m0fnu:
        return True
    is_named = _SCALE.fullmatch(tensor.name.rpartition(".")[2]) is not None
    return is_named and _parent(tensor.name) in float8_parents


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count} tensors"


def in_order(
    checkpoints: Sequence[Checkpoint], steps: str | None = None
) -> list[tuple[int | None, Checkpoint]]:
    """Checkpoints by their training steps, ascending.

    Args:
        checkpoints: in any order.
        steps: comma-separated, one for each; None for what their names say.

    Raises:
        InputError: if several do not say their steps, or two say the same.
    """
    numbers = [each.step for each in checkpoints] if steps is None else _numbers(steps)
    if len(numbers) != len(checkpoints):
        raise InputError(f"--steps names {len(numbers)} steps for {len(checkpoints)} checkpoints.")
    if len(checkpoints) > 1:
        for number, checkpoint in zip(numbers, checkpoints, strict=True):
            if number is None:
                raise InputError(
                    f"{checkpoint.path}: its name does not say which step it is of.\n"
                    "Give --steps 1000,2000,… in the order of the checkpoints."
                )
        if len(set(numbers)) < len(numbers):
            raise InputError("two of the checkpoints are of the same step.")
    pairs = zip(numbers, checkpoints, strict=True)
    return sorted(pairs, key=lambda pair: pair[0] or 0)


def _numbers(text: str) -> list[int | None]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--steps {text!r} is not like 1000,2000,3000.") from None
