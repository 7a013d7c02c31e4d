"""The MX block formats: 32 elements share a power of two that brings their largest to the top.

OCP Microscaling Formats (MX) 1.0, section 6.3: the scale of a block is 2 to the power of
⌊log2 absmax⌋ − (exponent of the largest value of the element format); what is still too large
becomes that value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from umup_diag.numerics import block
from umup_diag.numerics.block import BlockFormat
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.numerics.quantize import quantize

_SCALE_EXPONENTS = (-127, 127)  # of E8M0

#: Name → block format, for those whose scales need no more than the block.
BLOCK_FORMATS: Mapping[str, BlockFormat] = MappingProxyType(
    {name: fmt for name, fmt in block.ALL.items() if not fmt.tensor_scale}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCast:
    """What a cast to a block format does to a tensor.

    Attributes:
        scaled: the elements after division by the scale of their block.
        noise: Σ(x − cast(x))² over the finite elements.
    """

    scaled: CodeHistogram
    noise: float

    def __add__(self, other: "BlockCast") -> "BlockCast":
        """Of both tensors together."""
        return BlockCast(scaled=self.scaled + other.scaled, noise=self.noise + other.noise)


def block_cast(rows: Iterable[Tensor], fmt: BlockFormat) -> BlockCast:
    """Cast a tensor in blocks along its last dimension.

    Args:
        rows: the tensor, in pieces of whole rows.
        fmt: where to.
    """
    empty = BlockCast(scaled=CodeHistogram.empty(), noise=0.0)
    return reduce(add, (_cast(piece, fmt) for piece in rows), empty)


def _cast(piece: Tensor, fmt: BlockFormat) -> BlockCast:
    element = fmt.element
    x = piece.detach().to(torch.float32)
    x = x.reshape(-1, x.shape[-1]) if x.dim() else x.reshape(1, 1)
    blocks = F.pad(x, (0, -x.shape[-1] % fmt.block)).view(-1, fmt.block)
    finite = torch.where(blocks.isfinite(), blocks, 0.0)
    exponent = torch.frexp(finite.abs().amax(dim=-1, keepdim=True)).exponent - 1
    exponent = (exponent - element.max_exponent).clamp(*_SCALE_EXPONENTS)
    scaled = torch.ldexp(blocks.double(), -exponent)
    cast = torch.ldexp(quantize(torch.where(scaled.isfinite(), scaled, 0.0), element), exponent)
    noise = float((finite.double() - cast).square().sum())
    kept = scaled.view(x.shape[0], -1)[:, : x.shape[-1]]
    return BlockCast(scaled=CodeHistogram.of(kept.to(torch.float32)), noise=noise)
