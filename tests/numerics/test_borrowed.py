"""Reading a tensor leaves no trace on it."""

import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from umup_diag.numerics.borrowed import borrowed
from umup_diag.numerics.formats import E4M3FN
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.numerics.quantize import quantize


def test_the_same_bytes_as_numpy_reads() -> None:
    x = torch.randn(100)
    assert np.array_equal(borrowed(x, np.float32), x.numpy())
    assert np.array_equal(
        borrowed(x.bfloat16(), np.uint16), x.bfloat16().view(torch.uint16).numpy()
    )


def test_the_tensor_lives_as_long_as_the_array() -> None:
    x = torch.zeros(3)
    there = weakref.ref(x)
    array = borrowed(x, np.float32)
    del x
    assert there() is not None
    del array
    assert there() is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("read", [CodeHistogram.of, lambda x: quantize(x, E4M3FN)])
def test_a_storage_can_still_be_resized(
    dtype: torch.dtype, read: Callable[[Tensor], object]
) -> None:
    """As ``fully_shard`` does with weights that it has gathered."""
    x = torch.randn(64).to(dtype)
    read(x)
    x.untyped_storage().resize_(0)
