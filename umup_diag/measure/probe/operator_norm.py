"""RMS operator norms: the largest RMS out over RMS in that a weight, or an update of it, can give.

‖A‖_R = √(fan-in/fan-out)·‖A‖₂ (arXiv 2310.17813, 2603.00541). An update of low rank moves one
direction by as much as one of full rank whose entries are √width as large, so its RMS hides it.
"""

from math import sqrt

import torch
from torch import Tensor, nn

from umup_diag.measure.layers import NamedTensor

#: Each reads the matrix twice. σ² is underestimated by a factor of no less than w^(1/(2k+1)) after
#: k of them, where w is the share of the start that lies along the leading direction: about 1/width
#: of a random start. So with four a slope over width is off by less than 1/18, and by nothing where
#: the leading directions stand out.
ITERATIONS = 4


def operator_norm(matrix: Tensor, iterations: int = ITERATIONS) -> float:
    """‖A‖₂ from below, by power iterations on AᵀA of a start that is the same for every run.

    Args:
        matrix: (rows, columns), float32 or wider; it is read 2·iterations + 1 times, not copied.
        iterations: of them.
    """
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    generator = torch.Generator().manual_seed(0)  # torch's own state is the model's
    x = torch.randn(matrix.shape[1], generator=generator).to(matrix)
    for _ in range(iterations):
        x = matrix.T @ _unit(matrix @ _unit(x))
    return float(torch.linalg.vector_norm(matrix @ _unit(x)))


def _unit(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x)
    return x if norm == 0 else x / norm


def rms_operator_norm(named: NamedTensor, value: Tensor) -> float | None:
    """‖A‖_R of a weight, or of an update in its place; None of a vector.

    A matrix is as its fans say: a convolution's maps a patch (channels · kernel) to channels,
    groups, fused projections and experts are one stack. An embedding is given one row at a time, so
    its norm is the largest RMS of a row.

    Args:
        named: whose, with its fans.
        value: of its shape.
    """
    fan_in, fan_out = named.fans.fan_in, named.fans.fan_out
    if fan_in is None or value.numel() == 0:
        return None
    value = value.detach()
    value = value if value.dtype == torch.float64 else value.float()
    if isinstance(named.owner, nn.Embedding | nn.EmbeddingBag):
        return float(torch.linalg.vector_norm(value, dim=1).max()) / sqrt(value.shape[1])
    matrix = value.flatten(1) if value.shape[0] == fan_out else value.flatten(0, -2)
    return operator_norm(matrix) * sqrt(fan_in / fan_out)
