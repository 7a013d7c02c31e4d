"""Which tensor of which linear layer is cast to which format: recipes are data."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any

from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics.formats import BF16, E4M3FN, E5M2, Format

Recipe = Mapping[tuple[str, str], Format | str | None]
"""(module pattern, kind) to a format, its name, or None to leave the tensor alone.

A pattern is a shell glob on the module's dotted name, in which * crosses dots; "*.down" means every
module called down. Kinds are input, weight and grad_output. Of the entries that match, the last
one counts; what none matches is left alone.
"""

OPERANDS = ("input", "weight", "grad_output")
"""The three operands of a linear layer's three matmuls."""

#: What each operand is usually cast to, then what it is compared in. Gradients need the range more
#: than the mantissa: the usual FP8 recipes give them E5M2.
USUAL_FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "input": ("E4M3FN", "E5M2"),
        "weight": ("E4M3FN", "E5M2"),
        "grad_output": ("E5M2", "E4M3FN"),
    }
)

# FFN-down and attention-out, as the reference model, Hugging Face and torch call them.
_CRITICAL = (
    *("*.down", "*.down_proj", "*.w2", "*.fc2", "*.linear2", "*.dense_4h_to_h", "*.c_proj"),
    *("*.out", "*.o_proj", "*.out_proj", "*.wo", "*.attention.dense", "*.output.dense"),
)


def _everywhere(input_: Format, weight: Format, grad_output: Format) -> dict[Any, Format | None]:
    return {("*", "input"): input_, ("*", "weight"): weight, ("*", "grad_output"): grad_output}


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        # u-µP workshop paper, 4.3: every matmul operand in E4M3, but the inputs of the two
        # projections whose inputs grow in E5M2; no scaling factors.
        "workshop": {
            **_everywhere(E4M3FN, E4M3FN, E4M3FN),
            **{(pattern, "input"): E5M2 for pattern in _CRITICAL},
        },
        # u-µP final version: gradients in E5M2, the two critical matmuls in BF16.
        "final": {
            **_everywhere(E4M3FN, E4M3FN, E5M2),
            **{(pattern, kind): BF16 for pattern in _CRITICAL for kind in OPERANDS},
        },
        "all-e4m3": _everywhere(E4M3FN, E4M3FN, E4M3FN),
        "none": {},
    }
)
"""Ready recipes. Their patterns may match nothing; those of a user's own recipe must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Casts:
    """What one linear layer's tensors are cast to; None leaves one alone.

    Attributes:
        input: of the forward and the weight-gradient matmul.
        weight: of the forward and the input-gradient matmul.
        grad_output: of both backward matmuls.
    """

    input: Format | None = None
    weight: Format | None = None
    grad_output: Format | None = None


def plan_casts(modules: Iterable[str], recipe: str | Path | Recipe) -> dict[str, Casts]:
    """Apply a recipe to the names of a model's linear layers.

    Args:
        modules: dotted names.
        recipe: name of a ready one, path of a TOML file, or a mapping.

    Raises:
        InputError: an unknown recipe, kind or format; a file that cannot be read; a pattern of a
            user's own recipe that matches no module.
    """
    names = list(modules)
    own = find(recipe) if isinstance(recipe, str | Path) else recipe
    if isinstance(recipe, str) and not recipe.endswith(".toml"):
        return _plan(names, own)
    for pattern, kind in own:
        if kind not in OPERANDS:
            raise InputError(f"unknown kind {kind!r} in a recipe: one of {', '.join(OPERANDS)}")
        if not any(_matches(name, pattern) for name in names):
            near = get_close_matches(pattern, names, n=1, cutoff=0.0)
            raise InputError(
                f"recipe names {pattern!r}, which is no linear layer of the model"
                + (f"; the nearest is {near[0]!r}" if near else "")
            )
    return _plan(names, own)


def find(recipe: str | Path) -> Recipe:
    """A ready recipe by its name, or one of a TOML file.

    Raises:
        InputError: if there is none, or the file cannot be read.
    """
    if isinstance(recipe, str) and not recipe.endswith(".toml"):
        return _ready(recipe)
    return load_recipe(recipe)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from TOML: a table per pattern, in it a format name (or "none") per kind.

    ::

        ["*"]
        input = "e4m3fn"
        weight = "e4m3fn"
        grad_output = "e5m2"

        ["*.down_proj"]
        input = "none"

    Raises:
        InputError: if the file cannot be read or is not made so.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"cannot read recipe {path}: {problem}") from problem
    recipe: dict[tuple[str, str], str] = {}
    for pattern, table in tables.items():
        if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
            raise InputError(f"recipe {path}: [{pattern!r}] must hold a format name for each kind")
        recipe |= {(pattern, kind): name for kind, name in table.items()}
    return recipe


def _ready(name: str) -> Recipe:
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, n=1, cutoff=0.0)[0]
        raise InputError(
            f"unknown recipe {name!r}: did you mean {near!r}? Known: {', '.join(RECIPES)}, "
            "or a file that ends in .toml"
        )
    return RECIPES[name]


def cast_of(module: str, kind: str, recipe: Recipe) -> Format | None:
    """What a recipe casts one operand of one layer to; None leaves it alone."""
    matching = [
        value for (pattern, of), value in recipe.items() if of == kind and _matches(module, pattern)
    ]
    return _format(matching[-1]) if matching else None


def _plan(names: list[str], recipe: Recipe) -> dict[str, Casts]:
    return {
        name: Casts(**{kind: cast_of(name, kind, recipe) for kind in OPERANDS}) for name in names
    }


def _format(value: Format | str | None) -> Format | None:
    if isinstance(value, str):
        return None if value.lower() == "none" else formats.get(value)
    return value


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(f".{name}", pattern)
