"""The two sets of ops that a scheme can ask for, behind one signature."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from reference_model import plain_ops, unit_ops


class Ops(Protocol):
    """What `plain_ops` and `unit_ops` both offer; each op is documented there."""

    def embedding(self, tokens_BT: Tensor, weight: Tensor) -> Tensor: ...
    def linear(self, x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor: ...
    def readout(self, x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor: ...
    def shift(self, x: Tensor, bias: Tensor) -> Tensor: ...
    def gain(self, x: Tensor, weight: Tensor) -> Tensor: ...
    def attention(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, *, multiplier: float
    ) -> Tensor: ...
    def gated_silu(self, x: Tensor, gate: Tensor, *, alpha: float) -> Tensor: ...
    def residual_split(
        self, stream: Tensor, *, branch: float, skip: float
    ) -> tuple[Tensor, Tensor]: ...
    def residual_add(
        self, residual: Tensor, stream: Tensor, *, branch: float, skip: float
    ) -> Tensor: ...
    def cross_entropy(self, logits: Tensor, targets: Tensor, *, alpha: float) -> Tensor: ...


#: `Scheme.ops` → the ops.
OPS: Mapping[str, Ops] = MappingProxyType({"plain": plain_ops, "unit": unit_ops})
