"""The formats and recipes that tensors are held to and compared in."""

from collections.abc import Mapping
from dataclasses import dataclass

from umup_diag.checks.fp8_range import format_names
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.errors import InputError
from umup_diag.numerics import block, formats, scaled_recipes
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.numerics.recipes import USUAL_FORMATS
from umup_diag.numerics.scaled_recipes import ScaledRecipe, Scaling
from umup_diag.scaling.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a tensor is cast to.

    Attributes:
        format: of the elements, or a block format.
        scaling: where the scale before the cast comes from.
        recipe: that says so; None for a format by itself.
    """

    format: str
    scaling: Scaling = Scaling.NONE
    recipe: str | None = None


def targets(tensor: str, kind: str, settings: RangeSettings) -> tuple[Target, ...]:
    """What a tensor is held to, and what it is compared in.

    Raises:
        InputError: for a name that is no format or recipe, or if both are asked for.
    """
    if settings.recipe is None:
        names = target_formats(kind, settings.formats)
        return tuple(Target(format=name) for name in names)
    return tuple(
        Target(format=recipe.format_of(tensor, kind), scaling=recipe.scaling, recipe=name)
        for name, recipe in recipes(settings).items()
    )


def recipes(settings: RangeSettings) -> Mapping[str, ScaledRecipe]:
    """The recipes that are asked for, by name.

    Raises:
        InputError: for a name that is none, or beside formats.
    """
    if settings.recipe is None:
        return {}
    if settings.formats:
        raise InputError("a recipe names the formats; give --recipe or --formats.")
    names = (name.strip().lower() for name in settings.recipe.split(","))
    return {name: scaled_recipes.get(name) for name in names}


def target_formats(kind: str, setting: str | None) -> tuple[str, ...]:
    """The format that tensors of a kind are held to, and those that they are compared in.

    Args:
        kind: of tensor.
        setting: a list for all kinds, such as ``e4m3fn,mxfp8``; None or empty for the defaults.

    Raises:
        InputError: for a name that is no format.
    """
    if not setting:
        return USUAL_FORMATS.get(kind, USUAL_FORMATS[Kind.WEIGHT])
    return tuple(dict.fromkeys(map(resolve, setting.split(","))))


def block_formats(settings: RangeSettings) -> tuple[str, ...]:
    """The block formats among the targets, whose casts must be measured.

    Raises:
        InputError: for a name that is no format or recipe.
    """
    names = [recipe.block for recipe in recipes(settings).values() if recipe.block is not None]
    names += [
        each for each in target_formats(Kind.WEIGHT, settings.formats) if each in BLOCK_FORMATS
    ]
    return tuple(dict.fromkeys(names))


def resolve(name: str) -> str:
    """The full name of a format, block formats included.

    Raises:
        InputError: if there is none.
    """
    upper = format_names.upper(name)
    return block.resolve(name) if format_names.is_block(upper) else formats.get(upper).name
