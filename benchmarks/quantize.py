"""What a cast costs, against torch's own to float8 and back, and other tools.

python -m benchmarks.quantize [--rounds 9] [--threads 2] [--elements 4194304]
"""

import argparse
from collections.abc import Callable

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import torch
from torch import Tensor
from unit_scaling.formats import FPFormat

from benchmarks.timing import race, show
from umup_diag.numerics import formats
from umup_diag.numerics.quantize import quantize

NATIVE = {
    "E4M3FN": (torch.float8_e4m3fn, ml_dtypes.float8_e4m3fn),
    "E5M2": (torch.float8_e5m2, ml_dtypes.float8_e5m2),
}
INFOS = {
    "E4M3FN": gfloat.formats.format_info_ocp_e4m3,
    "E5M2": gfloat.formats.format_info_ocp_e5m2,
}


def contenders(x: Tensor, name: str) -> dict[str, Callable[[], object]]:
    """One cast of float32 to a format and back."""
    fmt, (dtype, ml_dtype) = formats.ALL[name], NATIVE[name]
    theirs = FPFormat(fmt.exponent_bits, fmt.mantissa_bits, rounding="nearest")
    array = x.numpy()
    low = x.bfloat16()
    return {
        "torch float32": lambda: x.to(dtype).to(torch.float32),
        "ours float32": lambda: quantize(x, fmt),
        "torch bfloat16": lambda: low.to(dtype).to(torch.bfloat16),
        "ours bfloat16": lambda: quantize(low, fmt),
        "ours, stochastic": lambda: quantize(x, fmt, rounding="stochastic"),
        "unit-scaling FPFormat": lambda: theirs.quantise(x),
        "ml_dtypes": lambda: array.astype(ml_dtype).astype(np.float32),
        "gfloat": lambda: gfloat.round_ndarray(INFOS[name], array, sat=True),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--elements", type=int, default=2**22)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x = torch.randn(options.elements)
    for name in NATIVE:
        seconds = race(contenders(x, name), rounds=options.rounds)
        title = f"{name}, {options.elements} elements, {options.threads} threads, "
        show(title + f"best of {options.rounds}", seconds, against="torch float32")


if __name__ == "__main__":
    main()
