"""The use of a weight by the layer that owns it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.measure.probe.call import Call


@dataclass(slots=True, kw_only=True)
class LayerCall(Call):
    """One call of a module that `umup_diag.measure.layers.is_layer`.

    Attributes:
        module: the layer.
        args: as its forward got them.
        kwargs: likewise.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def weight(self) -> nn.Parameter:
        """The layer's."""
        return weight_of(self.module)

    @property
    def given(self) -> Tensor | None:
        """The first tensor given."""
        return next((x for x in (*self.args, *self.kwargs.values()) if isinstance(x, Tensor)), None)

    @property
    def has_more(self) -> bool:
        """Whether the layer has a bias or the like."""
        return len(list(self.module.parameters())) > 1

    def forward(self, weight: Tensor) -> Tensor | None:
        """Run the layer again."""
        stand_in = _in_place_of_weight(self.module, weight)
        with torch.no_grad(), self.in_its_precision(), stand_in:
            out = self.module.forward(*self.args, **self.kwargs)
        return out if isinstance(out, Tensor) and out.shape == self.out.shape else None

    def plain(self, weight: Tensor) -> Tensor | None:
        """By the usual layouts of an embedding, a convolution and a matrix."""
        module, x = self.module, self.given
        if x is None:
            return None
        with torch.no_grad():
            if isinstance(module, nn.EmbeddingBag):
                with _in_place_of_weight(module, weight):
                    bags: Tensor = nn.EmbeddingBag.forward(module, *self.args, **self.kwargs)
                return bags
            if not x.is_floating_point():
                return F.embedding(x, weight) if weight.dim() == 2 else None
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                out: Tensor = module._conv_forward(x.to(weight.dtype), weight, None)
                return out
            if weight.dim() != 2:
                return None
            x, w = x.to(weight.dtype), weight
            if hasattr(module, "nf") and x.shape[-1] == w.shape[0]:
                return x @ w
            if x.shape[-1] == w.shape[1]:
                return F.linear(x, w)
            return x @ w if x.shape[-1] == w.shape[0] else None


def weight_of(module: nn.Module) -> nn.Parameter:
    """The weight of a layer."""
    weight = module._parameters["weight"]
    assert weight is not None
    return weight


@contextmanager
def _in_place_of_weight(module: nn.Module, value: Tensor) -> Iterator[None]:
    kept = module._parameters["weight"]
    stand_in = nn.Parameter(value, requires_grad=False)
    if kept is not None:
        stand_in.__dict__.update(kept.__dict__)  # such as the base shape that `mup` puts there
    module._parameters["weight"] = stand_in
    try:
        yield
    finally:
        module._parameters["weight"] = kept
