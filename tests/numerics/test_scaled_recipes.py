"""Recipes of today: what each casts a tensor to, and the scale that comes before."""

import pytest

from umup_diag.errors import InputError
from umup_diag.numerics import scaled_recipes
from umup_diag.numerics.formats import E4M3FN, E5M2, Format
from umup_diag.numerics.scaled_recipes import SCALED_RECIPES, scale_log2


@pytest.mark.parametrize(
    ("recipe", "formats"),
    [
        ("workshop", ("E4M3FN", "E5M2", "E4M3FN", "E4M3FN")),
        ("final", ("E4M3FN", "BF16", "BF16", "E5M2")),
        ("absmax", ("E4M3FN", "E4M3FN", "E4M3FN", "E5M2")),
        ("delayed", ("E4M3FN", "E4M3FN", "E4M3FN", "E5M2")),
        ("mxfp8", ("MXFP8_E4M3",) * 4),
        ("nvfp4", ("NVFP4",) * 4),
    ],
)
def test_each_recipe_names_the_format_of_each_operand(
    recipe: str, formats: tuple[str, ...]
) -> None:
    asked = (
        ("layers.0.ffn.up", "input"),
        ("layers.0.ffn.down", "input"),
        ("layers.0.ffn.down.weight", "weight"),  # as a checkpoint calls it
        ("head", "grad_output"),
    )
    found = scaled_recipes.get(recipe)
    assert tuple(found.format_of(*each) for each in asked) == formats


def test_every_recipe_is_tested() -> None:
    tested = {"workshop", "final", "absmax", "delayed", "mxfp8", "nvfp4"}
    assert set(SCALED_RECIPES) == tested


@pytest.mark.parametrize("fmt", [E4M3FN, E5M2])
@pytest.mark.parametrize("absmax", [1e-6, 0.75, 1.0, 448.0, 449.0, 3e30])
def test_the_scale_takes_absmax_into_the_top_binade(fmt: Format, absmax: float) -> None:
    scaled = absmax * 2.0 ** scale_log2(absmax, fmt)
    assert fmt.max / 2 < scaled <= fmt.max


def test_zeros_need_no_scale_and_an_unknown_name_is_one_clear_error() -> None:
    assert scale_log2(0.0, E4M3FN) == scale_log2(float("nan"), E4M3FN) == 0
    with pytest.raises(InputError, match="no recipe 'workshp'; did you mean 'workshop'"):
        scaled_recipes.get("workshp")
