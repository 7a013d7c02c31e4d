"""The reference model as umup-diag meets it, and what it takes from umup-diag."""

import ast
from pathlib import Path

import pytest

import reference_model
from reference_model.llama import Llama
from reference_model.subject import EPS, LlamaSubject

SCHEMES = {"umup_diag.scaling.roles", "umup_diag.scaling.schemes"}


def hidden_group(subject: LlamaSubject, model: Llama, *, optimizer: str) -> dict[str, float]:
    groups = subject.parameter_groups(model, optimizer=optimizer, lr=1.0, weight_decay=0.1)
    weight = model.get_parameter("layers.0.attention.q.weight")
    (group,) = (group for group in groups if group["params"][0] is weight)
    return group


def test_it_takes_the_table_of_schemes_and_nothing_more() -> None:
    taken = set()
    for path in Path(reference_model.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            taken |= {name for name in names if name.startswith("umup_diag")}
    assert taken == SCHEMES


def test_parameter_groups_cover_every_parameter_once() -> None:
    model = reference_model.mup.build(256)
    groups = reference_model.mup.parameter_groups(model, optimizer="adamw", lr=1.0)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    rates = {id(group["params"][0]): group["lr"] for group in groups}
    assert rates[id(model.get_parameter("layers.0.ffn.up.weight"))] == 0.5  # base width 128
    assert rates[id(model.embedding.weight)] == rates[id(model.head.weight)] == 1.0


@pytest.mark.parametrize("name", ["mup", "umup"])
@pytest.mark.parametrize("width", [128, 1024])
def test_independent_weight_decay_holds_lr_times_decay(name: str, width: int) -> None:
    subject = getattr(reference_model, name)
    group = hidden_group(subject, subject.build(width), optimizer="adamw")
    assert group["lr"] * group["weight_decay"] == pytest.approx(0.1)


def test_sp_keeps_pytorchs_weight_decay() -> None:
    model = reference_model.sp.build(1024)
    assert hidden_group(reference_model.sp, model, optimizer="adamw")["weight_decay"] == 0.1


def test_epsilon_goes_like_the_gradients() -> None:
    mup, umup = reference_model.mup.build(512), reference_model.umup.build(512)
    adamw = hidden_group(reference_model.mup, mup, optimizer="adamw")
    assert adamw["eps"] == pytest.approx(EPS / 4)  # base width 128
    assert hidden_group(reference_model.umup, umup, optimizer="adamw")["eps"] == EPS
    assert "eps" not in hidden_group(reference_model.mup, mup, optimizer="sgd")
