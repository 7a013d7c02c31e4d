"""Recipes pick the format that the paper says, and refuse what they cannot apply."""

from pathlib import Path

import pytest

from umup_diag.errors import InputError
from umup_diag.numerics.formats import BF16, E4M3FN, E5M2
from umup_diag.numerics.recipes import RECIPES, Casts, load_recipe, plan_casts

ALL_E4M3 = Casts(input=E4M3FN, weight=E4M3FN, grad_output=E4M3FN)
WIDE_INPUT = Casts(input=E5M2, weight=E4M3FN, grad_output=E4M3FN)
FINAL = Casts(input=E4M3FN, weight=E4M3FN, grad_output=E5M2)
PLAIN = [
    *(f"layers.0.attention.{name}" for name in ("q", "k", "v")),
    *("layers.0.ffn.gate", "layers.0.ffn.up", "head", "readout"),
    *("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.gate_proj", "lm_head"),
]
CRITICAL = [
    *("layers.0.attention.out", "layers.11.ffn.down", "down"),
    *("model.layers.0.self_attn.o_proj", "model.layers.0.mlp.down_proj"),
    *("decoder.layers.0.self_attn.out_proj", "decoder.layers.0.fc2", "gpt.h.0.mlp.c_proj"),
    *("layers.0.feed_forward.w2", "layers.0.attention.wo", "encoder.layers.0.linear2"),
    *("gpt_neox.layers.0.attention.dense", "gpt_neox.layers.0.mlp.dense_4h_to_h"),
]


@pytest.mark.parametrize(
    ("recipe", "plain", "critical"),
    [
        ("workshop", ALL_E4M3, WIDE_INPUT),
        ("final", FINAL, Casts(input=BF16, weight=BF16, grad_output=BF16)),
        ("all-e4m3", ALL_E4M3, ALL_E4M3),
        ("none", Casts(), Casts()),
    ],
)
def test_ready_recipes(recipe: str, plain: Casts, critical: Casts) -> None:
    plan = plan_casts(PLAIN + CRITICAL, recipe)
    assert {name: plan[name] for name in PLAIN} == dict.fromkeys(PLAIN, plain)
    assert {name: plan[name] for name in CRITICAL} == dict.fromkeys(CRITICAL, critical)


def test_every_ready_recipe_is_tested() -> None:
    assert set(RECIPES) == {"workshop", "final", "all-e4m3", "none"}


def test_the_last_match_counts_in_python_and_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('["*"]\ninput = "E4M3"\nweight = "e4m3fn"\n["*.down"]\ninput = "none"\n')
    mapping = {("*", "input"): E4M3FN, ("*", "weight"): E4M3FN, ("*.down", "input"): None}
    for recipe in (path, str(path), mapping, load_recipe(path)):
        assert plan_casts(["a.up", "a.down"], recipe) == {
            "a.up": Casts(input=E4M3FN, weight=E4M3FN),
            "a.down": Casts(weight=E4M3FN),
        }


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("workshp", "unknown recipe 'workshp': did you mean 'workshop'"),
        ({("*.dwn", "input"): E5M2}, r"'\*\.dwn', which is no linear layer .*'ffn\.down'"),
        ({("*", "inputs"): E5M2}, "unknown kind 'inputs' in a recipe: one of input"),
        ({("*", "input"): "e9m9"}, "unknown format 'e9m9'"),
        ("nowhere.toml", "cannot read recipe nowhere.toml"),
    ],
)
def test_bad_recipes_are_one_clear_error(recipe: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        plan_casts(["ffn.down", "ffn.up"], recipe)


@pytest.mark.parametrize(
    ("text", "says"),
    [("[", "cannot read recipe"), ("input = 3", "must hold"), ('["*"]\ninput = 3', "must hold")],
)
def test_bad_files_are_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_recipe(path)
