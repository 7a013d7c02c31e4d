"""What half precision loses of a training step, and with it of every slope: said, not judged.

Parameters in bfloat16 or float16 drop an update that is less than half the distance to the next
number; gradients in float16 are rounded to multiples of 2⁻²⁴, and under µP they fall with width.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError

HALVES = (torch.float16, torch.bfloat16)
#: RMS of a gradient below which rounding to multiples of 2⁻²⁴, an error of 2⁻²⁴/√12, is over 1 %.
SMALLEST_GRADIENT = 2.0**-24 / 12**0.5 / 0.01
#: Share of the gradient (by absolute value) whose elements an update must move. An update of half
#: a step of the format moves half of them, by twice as much, which is right on the whole; a
#: smaller one is lost.
MOVED = 0.4


class Float16Gradients:
    """Watches the gradients of what a model's modules give in float16; looks at no other.

    Args:
        model: any.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._names = {module: path for path, module in model.named_modules()}
        self._sizes: dict[str, float] = {}

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Watch one forward pass, and the backward pass that follows it."""
        self._sizes.clear()
        with ExitStack() as hooks:
            for module in self._model.modules():
                hooks.callback(module.register_forward_hook(self._leave).remove)
            yield

    def require(self) -> None:
        """Raise if they were too small for the format.

        Raises:
            InputError: naming the module whose gradient is smallest, and what to do.
        """
        if not self._sizes:
            return
        path = min(self._sizes, key=lambda each: self._sizes[each])
        if self._sizes[path] < SMALLEST_GRADIENT:
            raise InputError(
                f"float16 loses gradients: at the output of {path or 'the model'} their RMS is "
                f"{self._sizes[path]:.1g}, below {SMALLEST_GRADIENT:.1g}.\nUse bfloat16, or scale "
                "the loss: give step(model, batch, optimizer) with a torch.amp.GradScaler."
            )

    def _leave(self, module: nn.Module, _: Any, out: Any) -> None:
        if not isinstance(out, Tensor) or out.dtype != torch.float16 or not out.requires_grad:
            return
        path = self._names[module]

        def look(gradient: Tensor) -> None:
            size = float(gradient.double().square().mean().sqrt())
            if isfinite(size):
                self._sizes[path] = min(size, self._sizes.get(path, size))

        out.register_hook(look)


def require_movement(name: str, gradient: Tensor, change: Tensor) -> None:
    """Raise if a parameter in half precision is too coarse for the update that it was given.

    Args:
        name: of the tensor.
        gradient: that the update followed.
        change: what became of it, in the parameter's own precision.

    Raises:
        InputError: naming the tensor, and what to do.
    """
    if change.dtype not in HALVES:
        return
    size = gradient.abs().float()
    whole = float(size.sum(dtype=torch.float64))
    moved = float(size[change != 0].sum(dtype=torch.float64)) / whole if whole else 1.0
    if moved < MOVED:
        raise InputError(
            f"{str(change.dtype).removeprefix('torch.')} is too coarse for the update of {name}: "
            f"{1 - moved:.0%} of it is lost to rounding.\nKeep parameters in float32 and compute "
            "under torch.autocast, or raise the learning rate."
        )
