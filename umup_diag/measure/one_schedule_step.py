"""What a scheduler does to each parameter's learning rate in one step, without keeping it."""

import warnings
from copy import copy
from typing import Any

from torch import Tensor


def one_schedule_step(scheduler: Any) -> dict[Tensor, float]:
    """Parameter → its rate after one step over its peak; the scheduler is put back as it was.

    Args:
        scheduler: one of torch's, or whatever has ``optimizer``, ``step()``, ``state_dict()`` and
            ``load_state_dict(…)``.
    """
    optimizer = scheduler.optimizer
    kept = [{k: copy(v) for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    state = dict(scheduler.state_dict())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no optimizer stepped before it
            scheduler.step()
        return {
            parameter: float(group["lr"]) / before
            for group, was in zip(optimizer.param_groups, kept, strict=True)
            for parameter in group["params"]
            if (before := float(was.get("initial_lr", was["lr"])))
        }
    finally:
        scheduler.load_state_dict(state)
        for group, was in zip(optimizer.param_groups, kept, strict=True):
            for key in set(group) - set(was) - {"params"}:
                del group[key]
            group.update(was)
