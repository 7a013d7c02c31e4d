"""When compiled loops run, and on how many threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

_WORTH_A_THREAD = 1 << 20


def can_compile(tensor: Tensor) -> bool:
    """Whether the compiled loops can read it: it is in main memory, and numba is installed."""
    return tensor.device.type == "cpu" and _has_numba()


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def in_threads(work: Callable[..., T], *tensors: Tensor) -> list[T]:
    """Apply `work` to equal parts of flat tensors of one length, as many as torch has threads.

    A part is at least a million elements: below that, waking a thread costs more than it saves.
    `work` must let go of the interpreter lock.

    Returns:
        What it gave for each part, in order.
    """
    parts = max(1, min(torch.get_num_threads(), tensors[0].numel() // _WORTH_A_THREAD))
    if parts == 1:
        return [work(*tensors)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, *(tensor.chunk(parts) for tensor in tensors)))
