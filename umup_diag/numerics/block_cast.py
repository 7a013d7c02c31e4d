"""What a cast to a block format does to a tensor: to its elements, and to its blocks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from umup_diag.numerics.block import BlockFormat, in_blocks
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.numerics.quantize import quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCast:
    """What a cast to a block format does to a tensor.

    Attributes:
        scaled: the elements after division by the scale of their block.
        noise: Σ(x − cast(x))² over the finite elements.
        scales: the scales of the blocks that have a non-zero element.
        underflowing: blocks in which some non-zero element becomes zero.
        lost: blocks in which every element becomes zero, and some was not.
    """

    scaled: CodeHistogram = field(default_factory=CodeHistogram.empty)
    noise: float = 0.0
    scales: CodeHistogram = field(default_factory=CodeHistogram.empty)
    underflowing: int = 0
    lost: int = 0

    @classmethod
    def of(
        cls, rows: Iterable[Tensor], fmt: BlockFormat, *, absmax: float | None = None
    ) -> "BlockCast":
        """Cast a tensor in blocks along its last dimension.

        Args:
            rows: the tensor, in pieces of whole rows.
            fmt: target format.
            absmax: of the whole tensor, for a format with a tensor scale in several pieces; None if
                each piece is a tensor of its own.
        """
        return reduce(add, (cls._of_piece(piece, fmt, absmax) for piece in rows), cls())

    @classmethod
    def _of_piece(cls, piece: Tensor, fmt: BlockFormat, absmax: float | None) -> "BlockCast":
        x = piece.detach().to(torch.float32).to(torch.float64)
        x = x.reshape(-1, x.shape[-1]) if x.dim() else x.reshape(1, 1)
        blocks, scale = in_blocks(x, fmt, absmax=absmax)
        finite = blocks.isfinite()
        vanishing = torch.where(finite, blocks.sign() * fmt.element.flush_threshold / 2, blocks)
        scaled = torch.where(scale > 0, blocks / scale, vanishing)  # a scale may underflow itself
        cast = quantize(torch.where(finite, scaled, 0.0), fmt.element) * scale
        kept = scaled.flatten(-2)[..., : x.shape[-1]]
        is_nonzero = finite & (blocks != 0)
        is_lost = is_nonzero & (cast == 0)
        has_any = is_nonzero.any(-1)
        return cls(
            scaled=CodeHistogram.of(kept.to(torch.float32)),
            noise=float((torch.where(finite, blocks, 0.0) - cast).square().sum()),
            scales=CodeHistogram.of(scale.squeeze(-1)[has_any].to(torch.float32)),
            underflowing=int(is_lost.any(-1).sum()),
            lost=int((has_any & (is_lost == is_nonzero).all(-1)).sum()),
        )

    @property
    def blocks(self) -> int:
        """Blocks that have a non-zero element."""
        return self.scales.count

    def __add__(self, other: "BlockCast") -> "BlockCast":
        """Of both tensors together."""
        return BlockCast(
            scaled=self.scaled + other.scaled,
            noise=self.noise + other.noise,
            scales=self.scales + other.scales,
            underflowing=self.underflowing + other.underflowing,
            lost=self.lost + other.lost,
        )

    def encode(self) -> dict[str, Any]:
        """As JSON can hold it; histograms by 4 mantissa bits."""
        return {
            "scaled": self.scaled.to_json(compact=True),
            "noise": self.noise,
            "scales": self.scales.to_json(compact=True),
            "underflowing": self.underflowing,
            "lost": self.lost,
        }

    @classmethod
    def decode(cls, written: Mapping[str, Any]) -> "BlockCast":
        """Read back what `encode` wrote.

        Raises:
            KeyError, TypeError, InputError: if it is no such mapping.
        """
        return cls(
            scaled=CodeHistogram.from_json(written["scaled"]),
            noise=float(written["noise"]),
            scales=CodeHistogram.from_json(written["scales"]),
            underflowing=int(written["underflowing"]),
            lost=int(written["lost"]),
        )
