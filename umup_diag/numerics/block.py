"""Block formats: a run of elements shares a scale, so that few bits reach far.

The scale of an MX block is 2 to the power of ⌊log2 absmax⌋ − (exponent of the largest value of the
element format); what is still too large becomes that value.

Sources: OCP Microscaling (MX) 1.0, 5 and 6.3; NVFP4 as NVIDIA describes it (blocks of 16, E4M3
scales, one FP32 scale a tensor).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn.functional import pad

from umup_diag.errors import InputError
from umup_diag.numerics.formats import E2M1, E2M3, E3M2, E4M3FN, E5M2, E8M0, Format
from umup_diag.numerics.quantize import quantize
from umup_diag.numerics.rounding import Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFormat:
    """Elements of one format, and one scale for each block of them.

    Attributes:
        name: as the standard writes it.
        element: format of each scaled element.
        scale: format of the block's scale. In E8M0 it is the power of two that takes the largest
            magnitude into the top binade of `element` (MX); in another it takes the largest
            magnitude to `element.max`.
        block: elements that share a scale.
        tensor_scale: whether one float32 scale for the tensor first takes the largest magnitude
            to `element.max` × `scale.max`.
    """

    name: str
    element: Format
    scale: Format
    block: int
    tensor_scale: bool = False

    def __post_init__(self) -> None:
        if self.block < 1:
            raise InputError(f"block format {self.name!r}: a block of {self.block} elements")


def _mx(name: str, element: Format) -> BlockFormat:
    return BlockFormat(name=name, element=element, scale=E8M0, block=32)


MXFP8_E4M3 = _mx("MXFP8_E4M3", E4M3FN)
MXFP8_E5M2 = _mx("MXFP8_E5M2", E5M2)
MXFP6_E2M3 = _mx("MXFP6_E2M3", E2M3)
MXFP6_E3M2 = _mx("MXFP6_E3M2", E3M2)
MXFP4 = _mx("MXFP4", E2M1)
NVFP4 = BlockFormat(name="NVFP4", element=E2M1, scale=E4M3FN, block=16, tensor_scale=True)

BLOCK_FORMATS: Mapping[str, BlockFormat] = MappingProxyType(
    {f.name: f for f in (MXFP8_E4M3, MXFP8_E5M2, MXFP6_E2M3, MXFP6_E3M2, MXFP4, NVFP4)}
)
"""Every ready block format by name. Each brings its own scales."""

_ALIASES = {"MXFP8": "MXFP8_E4M3", "MXFP6": "MXFP6_E2M3"}


def resolve(name: str) -> str:
    """The full name of a block format: ``mxfp8`` is MXFP8_E4M3.

    Raises:
        InputError: if there is none.
    """
    upper = name.strip().upper().replace("-", "_")
    upper = _ALIASES.get(upper, upper)
    if upper not in BLOCK_FORMATS:
        raise InputError(
            f"{name!r} is no block format; there are {', '.join(BLOCK_FORMATS).lower()}."
        )
    return upper


def quantize_block(
    x: Tensor,
    fmt: BlockFormat,
    *,
    dim: int = -1,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Round to a block format, blocks running along one dimension; elements saturate.

    Non-finite elements do not count towards a scale: NaN stays NaN, infinity becomes the block's
    largest value.

    Args:
        x: (…) any real floating-point tensor of at least one dimension.
        fmt: target format.
        dim: along which blocks run; the last block may be shorter.
        rounding: of the elements; scales round to nearest even.
        generator: for stochastic rounding.

    Returns:
        What the codes stand for: shape of `x`, float32, or float64 if `x` is.

    Raises:
        InputError: an integer, complex or 0-d tensor; a dimension it does not have.
    """
    if not x.dtype.is_floating_point:
        raise InputError(f"cannot quantize {x.dtype}: needs a real floating-point tensor")
    if not -x.ndim <= dim < x.ndim:
        raise InputError(f"no dimension {dim} in a tensor of shape {tuple(x.shape)}")
    rows = x.detach().to(torch.float64).movedim(dim, -1)
    length = rows.shape[-1]
    blocks, scale = in_blocks(rows, fmt)
    scaled = torch.where(scale > 0, blocks / scale, blocks * 0.0)
    rounded = quantize(scaled, fmt.element, rounding=rounding, generator=generator) * scale
    result = rounded.flatten(-2)[..., :length].movedim(-1, dim)
    return result.to(torch.float64 if x.dtype is torch.float64 else torch.float32)


def in_blocks(
    rows: Tensor, fmt: BlockFormat, *, absmax: float | None = None
) -> tuple[Tensor, Tensor]:
    """Rows (…, length) padded into (…, blocks, block), and each block's scale, (…, blocks, 1).

    Args:
        rows: float64.
        fmt: target format.
        absmax: of the tensor that the rows are a part of; None if they are all of it.
    """
    length = rows.shape[-1]
    count = -(-length // fmt.block)
    padded = pad(rows, (0, count * fmt.block - length))
    blocks = padded.reshape(*rows.shape[:-1], count, fmt.block)
    return blocks, _scales(torch.where(blocks.isfinite(), blocks.abs(), 0.0), fmt, absmax)


def _scales(magnitude: Tensor, fmt: BlockFormat, absmax: float | None) -> Tensor:
    """Scales of (…, blocks, block) magnitudes, as (…, blocks, 1)."""
    largest = magnitude.amax(-1, keepdim=True) if magnitude.numel() else magnitude[..., :1]
    if fmt.scale == E8M0:
        exponent = torch.frexp(largest).exponent - 1 - fmt.element.max_exponent
        power = torch.ldexp(torch.ones_like(largest), exponent)
        return torch.where(largest > 0, power, 0.0).clamp(E8M0.smallest_subnormal, E8M0.max)
    whole = torch.ones((), dtype=torch.float64, device=magnitude.device)
    if fmt.tensor_scale and magnitude.numel():
        reach = fmt.element.max * fmt.scale.max
        smallest = torch.finfo(torch.float32).tiny
        reached = largest.amax() if absmax is None else largest.new_tensor(absmax)
        whole = (reached / reach).clamp_min(smallest).to(torch.float32).to(torch.float64)
    return quantize(largest / fmt.element.max / whole, fmt.scale) * whole
