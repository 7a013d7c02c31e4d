"""What was counted last, for the next layer that takes the same input."""

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ref

from torch import Tensor

T = TypeVar("T")


class LastCounted(Generic[T]):
    """Remembers of one tensor what was found in it, and keeps no tensor alive.

    Queries, keys and values take one input, and so do the gate and the rest of an FFN: three layers
    and two, of seven. A tensor is the same if it is the same object, at the same place in memory,
    and autograd's count of its changes has not moved; that is not kept in inference mode.
    """

    def __init__(self) -> None:
        self._tensor: Callable[[], Tensor | None] = lambda: None
        self._state = (0, 0)
        self._found: T | None = None

    def get(self, tensor: Tensor, part: Tensor) -> T | None:
        """What was found, if it was in this tensor.

        Args:
            tensor: as a layer gets it.
            part: of it, what is counted.
        """
        if self._tensor() is not tensor or tensor.is_inference():
            return None
        return self._found if self._state == (tensor._version, part.data_ptr()) else None

    def keep(self, tensor: Tensor, part: Tensor, found: T) -> None:
        """Remember what was found in a tensor in place of what was remembered before."""
        if tensor.is_inference():
            self._tensor = lambda: None
            return
        self._tensor = ref(tensor)
        self._state, self._found = (tensor._version, part.data_ptr()), found
