"""How FP8 and FP4 are done today: which formats, and where the scale before the cast comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import floor, isfinite, log2
from types import MappingProxyType

from umup_diag.errors import InputError
from umup_diag.numerics import block
from umup_diag.numerics.formats import E4M3FN, E5M2, Format
from umup_diag.numerics.recipes import RECIPES, Recipe, cast_of
from umup_diag.settings.nearest import nearest

HISTORY = 16
"""Snapshots that delayed scaling looks back on; Transformer Engine's recipes keep 16 to 1024."""


class Scaling(StrEnum):
    """Where the scale of a tensor comes from. Scales are powers of two."""

    NONE = "none"
    ABSMAX = "absmax"  #: the tensor's own largest magnitude, into the top binade of the format
    DELAYED = "delayed"  #: the largest of the snapshots before; its own for the first
    BLOCK = "block"  #: each block's own


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledRecipe:
    """One way to cast the operands of a model's matmuls.

    Attributes:
        casts: layer and operand → element format.
        scaling: of the tensors.
        block: block format of all operands, instead of `casts`.
    """

    casts: Recipe
    scaling: Scaling = Scaling.NONE
    block: str | None = None

    def format_of(self, tensor: str, kind: str) -> str:
        """Name of the format of a tensor; what the recipe leaves alone stays in BF16."""
        if self.block is not None:
            return self.block
        fmt = cast_of(tensor.removesuffix(".weight"), kind, self.casts)
        return "BF16" if fmt is None else fmt.name


_HYBRID: Recipe = {("*", "input"): E4M3FN, ("*", "weight"): E4M3FN, ("*", "grad_output"): E5M2}

SCALED_RECIPES: Mapping[str, ScaledRecipe] = MappingProxyType(
    {
        "workshop": ScaledRecipe(casts=RECIPES["workshop"]),
        "final": ScaledRecipe(casts=RECIPES["final"]),
        # Transformer Engine: Float8CurrentScaling and DelayedScaling, both of format HYBRID.
        "absmax": ScaledRecipe(casts=_HYBRID, scaling=Scaling.ABSMAX),
        "delayed": ScaledRecipe(casts=_HYBRID, scaling=Scaling.DELAYED),
        # Transformer Engine: MXFP8BlockScaling, E4M3 for gradients too, and NVFP4BlockScaling.
        "mxfp8": ScaledRecipe(casts={}, scaling=Scaling.BLOCK, block=block.MXFP8_E4M3.name),
        "nvfp4": ScaledRecipe(casts={}, scaling=Scaling.BLOCK, block=block.NVFP4.name),
    }
)
"""By name; the first two are u-µP's (`umup_diag.numerics.recipes`) and cast without a scale."""


def get(name: str) -> ScaledRecipe:
    """A recipe by name.

    Raises:
        InputError: if there is none.
    """
    if name not in SCALED_RECIPES:
        known = ", ".join(SCALED_RECIPES)
        raise InputError(
            f"there is no recipe {name!r}{nearest(name, SCALED_RECIPES)}; there are {known}."
        )
    return SCALED_RECIPES[name]


def scale_log2(absmax: float, fmt: Format) -> int:
    """The power of two that takes a largest magnitude into the top binade that `fmt` can hold."""
    return floor(log2(fmt.max) - log2(absmax)) if absmax > 0 and isfinite(absmax) else 0
