"""Attention's scales with half of the randomness integrated out.

With P = softmax(alpha / d · q kᵀ) given, the output and the gradients are linear in the unit-normal
v and grad-output g, so their mean squares over v and g are closed forms in P, q and k. Only q and k
need to be drawn: the same expectations as the plain Monte-Carlo, at a fraction of the draws.
Derivation, per row i with r_i = Σ_j P_ij² and k̄_i = Σ_j P_ij k_j:

- output:  E o_i² = r_i
- v:       Σ_j E dv_j² = Σ_i r_i, the output's own value (so β_v = α exactly)
- q:       E |dq_i|² = (alpha/d)² d Σ_j P_ij² |k_j - k̄_i|²
- k:       Σ_j E |dk_j|² = (alpha/d)² d Σ_i |q_i|² (r_i + r_i² - 2 Σ_j P_ij³)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from umup_diag.measure.monte_carlo.estimate import MeanSquares
from umup_diag.recording.frame import Point

# Elements of one block of P: a few of these are all the memory that a draw takes, at any seq_len,
# and they stay in cache (measured on a CPU: 2^20 is within 10 % of the best of 2^18…2^22).
BLOCK_ELEMENTS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionMoments:
    """Sampler for ``softmax(alpha / head_dim · q kᵀ + mask) v`` with v and the gradient averaged.

    Attributes:
        causal: whether each position sees only itself and earlier ones.
        block_elements: how many elements of P are held at once.
    """

    causal: bool
    block_elements: int = BLOCK_ELEMENTS

    @property
    def name(self) -> str:
        """The op's."""
        return "attention" if self.causal else "full-attention"

    @property
    def quantities(self) -> tuple[str, ...]:
        """The output and the gradients of q, k and v."""
        return ("output", "gradient of q", "gradient of k", "gradient of v")

    def draw(self, point: Point, seeds: Sequence[int], device: torch.device) -> MeanSquares:
        """Mean squares, shape (draws, 4). ``point`` has seq_len, head_dim and alpha."""
        seq_len, head_dim = int(point["seq_len"]), int(point["head_dim"])
        together = max(1, self.block_elements // seq_len**2)
        rows = []
        for first in range(0, len(seeds), together):
            some = seeds[first : first + together]
            inputs = [_unit_normal(seed, 2, seq_len, head_dim) for seed in some]
            q_NSD, k_NSD = torch.stack(inputs, dim=1).to(device)
            rows.append(self._mean_squares(q_NSD, k_NSD, point["alpha"]))
        return np.concatenate(rows)

    def _mean_squares(self, q_NSD: Tensor, k_NSD: Tensor, alpha: float) -> MeanSquares:
        draws, seq_len, head_dim = q_NSD.shape
        multiplier = alpha / head_dim
        q2_NS, k2_NS1 = q_NSD.square().sum(-1), k_NSD.square().sum(-1, keepdim=True)
        kk2_NSE = torch.cat([k_NSD, k2_NS1], dim=-1)
        total = torch.zeros(3, draws, dtype=torch.float64, device=q_NSD.device)
        block = max(1, self.block_elements // (draws * seq_len))
        for low in range(0, seq_len, block):
            high = min(seq_len, low + block)
            visible = high if self.causal else seq_len
            P = multiplier * (q_NSD[:, low:high] @ k_NSD[:, :visible].mT)
            if self.causal:
                rows = high - low
                later = torch.ones(rows, rows, dtype=torch.bool, device=P.device).triu(1)
                P[:, :, low:high].masked_fill_(later, -math.inf)
            P = torch.softmax(P, dim=-1)
            mean_k = P @ k_NSD[:, :visible]
            P2 = P.square()
            weighted = P2 @ kk2_NSE[:, :visible]
            r = P2.sum(-1)
            spread_k = (
                weighted[..., -1]
                - 2 * (mean_k * weighted[..., :-1]).sum(-1)
                + r * mean_k.square().sum(-1)
            )
            r3 = P2.mul_(P).sum(-1)
            total[0] += r.sum(-1, dtype=torch.float64)
            total[1] += spread_k.sum(-1, dtype=torch.float64)
            total[2] += (q2_NS[:, low:high] * (r + r**2 - 2 * r3)).sum(-1, dtype=torch.float64)
        total /= seq_len
        total[1:] *= multiplier**2
        return total[[0, 1, 2, 0]].T.cpu().numpy()


def _unit_normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
