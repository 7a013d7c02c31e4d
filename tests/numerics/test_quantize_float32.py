"""Every one of the 2**32 float32 inputs, against ml_dtypes.

pytest -m slow tests/numerics/test_quantize_float32.py
"""

import ml_dtypes
import numpy as np
import pytest
import torch

from umup_diag.numerics import formats
from umup_diag.numerics.formats import Overflow
from umup_diag.numerics.quantize import quantize

CHUNK = 2**24
ORACLE = {"E4M3FN": ml_dtypes.float8_e4m3fn, "E5M2": ml_dtypes.float8_e5m2}


@pytest.mark.slow
@pytest.mark.parametrize("overflow", ["saturate", "format's own"])
@pytest.mark.parametrize("name", ORACLE)
def test_all_float32_inputs(name: str, overflow: str) -> None:
    fmt, dtype = formats.ALL[name], ORACLE[name]
    rule = Overflow.SATURATE if overflow == "saturate" else fmt.overflow
    decoded = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    bits = decoded.view(np.uint32)
    seen = 0
    for start in range(0, 2**32, CHUNK):
        x = np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
        source = np.clip(x, -fmt.max, fmt.max) if rule is Overflow.SATURATE else x
        with np.errstate(all="ignore"):
            want = bits[source.astype(dtype).view(np.uint8)]
        got = quantize(torch.from_numpy(x), fmt, overflow=rule).numpy()
        same = got.view(np.uint32) == want
        same |= np.isnan(got) & np.isnan(want.view(np.float32))
        assert same.all(), (x[~same][:4], got[~same][:4], want.view(np.float32)[~same][:4])
        seen += len(x)
    assert seen == 2**32
