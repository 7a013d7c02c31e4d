"""A model without what wraps it."""

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from umup_diag.measure import compiled


def bare(model: nn.Module) -> nn.Module:
    """The model inside DDP, DataParallel and ``torch.compile``, whose names have no prefix."""
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel):
            inner: nn.Module = model.module
        elif compiled.is_wrapper(model):
            inner = model._orig_mod  # type: ignore[assignment]
        else:
            return model
        model = inner
