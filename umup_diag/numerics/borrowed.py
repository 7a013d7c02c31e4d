"""A tensor's elements as numpy reads them, without the mark that ``Tensor.numpy()`` leaves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True, slots=True)
class _Memory:
    tensor: Tensor  #: kept alive as long as the array
    __array_interface__: dict[str, Any]


def borrowed(tensor: Tensor, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The elements of a tensor in main memory, read as `dtype` of the same size; no copy.

    ``Tensor.numpy()`` forbids its storage to be resized, for good. ``fully_shard`` resizes those of
    weights that it has gathered, so reading one that way would end the training run.
    """
    interface = {
        "version": 3,
        "shape": tuple(tensor.shape),
        "strides": tuple(step * tensor.itemsize for step in tensor.stride()),
        "typestr": np.dtype(dtype).str,
        "data": (tensor.data_ptr(), False),
    }
    return np.asarray(_Memory(tensor, interface))
