"""The reference model as umup-diag meets it, and what it takes from umup-diag."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
import unit_scaling as uu
from torch.optim.lr_scheduler import LambdaLR
from unit_scaling.optim import lr_scale_func_adam, scaled_parameters

import reference_model
from reference_model.llama import Llama
from reference_model.subject import EPS, LlamaSubject
from umup_diag.errors import InputError

TABLES = {"umup_diag.scaling", "umup_diag.scaling.roles", "umup_diag.scaling.schemes"}


def by_name(subject: LlamaSubject, model: Llama, **asked: Any) -> dict[str, dict[str, Any]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = subject.parameter_groups(model, **asked)
    return {names[id(group["params"][0])]: group for group in groups}


def hidden_group(subject: LlamaSubject, model: Llama, *, optimizer: str) -> dict[str, float]:
    groups = subject.parameter_groups(model, optimizer=optimizer, lr=1.0, weight_decay=0.1)
    weight = model.get_parameter("layers.0.attention.q.weight")
    (group,) = (group for group in groups if group["params"][0] is weight)
    return group


def test_it_takes_the_tables_of_theory_and_nothing_more() -> None:
    taken = set()
    for path in Path(reference_model.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            taken |= {name for name in names if name.startswith("umup_diag")}
    assert taken == TABLES


def test_parameter_groups_cover_every_parameter_once() -> None:
    model = reference_model.mup.build(256)
    groups = reference_model.mup.parameter_groups(model, optimizer="adamw", lr=1.0)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    rates = {id(group["params"][0]): group["lr"] for group in groups}
    assert rates[id(model.get_parameter("layers.0.ffn.up.weight"))] == 0.5  # base width 128
    assert rates[id(model.embedding.weight)] == rates[id(model.head.weight)] == 1.0


@pytest.mark.parametrize("name", ["mup", "umup", "munit"])
@pytest.mark.parametrize("eta", [0.5, 2.0, 8.0])
@pytest.mark.parametrize(("width", "depth"), [(128, 2), (256, 8), (1024, 2)])
def test_independent_weight_decay_is_the_same_at_every_rate_and_size(
    name: str, eta: float, width: int, depth: int
) -> None:
    subject = getattr(reference_model, name)
    with torch.device("meta"):
        model = subject.build(width, depth=depth, gains=True)
    groups = subject.parameter_groups(model, optimizer="adamw", lr=eta, weight_decay=2.0**-13)
    for group in groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(2.0**-13)


@pytest.mark.parametrize("eta", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("width", [128, 256, 1024])
def test_umup_decays_and_steps_as_the_unit_scaling_library_does(eta: float, width: int) -> None:
    """The library counts layers where we count sub-layers, so depth is left out: one of each."""
    linear, embedding, head = (
        uu.Parameter(torch.empty(shape, device="meta"), mup_type=kind)
        for shape, kind in (
            ((width, width), "weight"),
            ((256, width), "weight"),
            ((256, width), "output"),
        )
    )
    theirs = {
        id(group["params"][0]): group
        for group in scaled_parameters(
            [linear, embedding, head], lr_scale_func_adam, lr=eta, weight_decay=2.0**-13
        )
    }
    with torch.device("meta"):
        model = reference_model.umup.build(width)
    ours = by_name(reference_model.umup, model, optimizer="adamw", lr=eta, weight_decay=2.0**-13)
    for parameter, name in (
        (linear, "layers.0.attention.q"),
        (embedding, "embedding"),
        (head, "head"),
    ):
        group, other = ours[f"{name}.weight"], theirs[id(parameter)]
        depth = 2 if parameter is linear else 1  # 1/√(2 · layers)
        assert group["lr"] * depth == pytest.approx(other["lr"])
        assert group["lr"] * group["weight_decay"] == pytest.approx(
            other["lr"] * other["weight_decay"]
        )


def test_independent_weight_decay_follows_the_schedule() -> None:
    model = reference_model.umup.build(128)
    groups = reference_model.umup.parameter_groups(
        model, optimizer="adamw", lr=2.0, weight_decay=2.0**-13
    )
    optimizer = torch.optim.AdamW(groups)
    LambdaLR(optimizer, lambda _: 0.25)
    for group in optimizer.param_groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(2.0**-15)


@pytest.mark.parametrize(
    ("rule", "hidden", "embedding", "eta"),
    [
        ("plain", 1 / 8, 1.0, 1.0),  # lr·λ, over that of width 128; then of η, over that of η = 1
        ("constant-timescale", 1.0, 1.0, 1.0),
        ("independent", 1.0, 1.0, 0.0),
        ("steady-state", 8**-0.5, None, 1.0),
        ("lr-free", 1 / 8, 1 / 8, 0.0),
    ],
)
def test_a_rule_of_weight_decay_by_its_name(
    rule: str, hidden: float, embedding: float | None, eta: float
) -> None:
    def product(name: str, width: int, lr: float) -> float:
        with torch.device("meta"):
            model = reference_model.mup.build(width, weight_decay_rule=rule)
        groups = by_name(reference_model.mup, model, optimizer="adamw", lr=lr, weight_decay=0.1)
        return float(groups[name]["lr"] * groups[name]["weight_decay"])

    q, table = "layers.0.attention.q.weight", "embedding.weight"
    assert product(q, 1024, 1.0) / product(q, 128, 1.0) == pytest.approx(hidden)
    assert product(q, 128, 4.0) / product(q, 128, 1.0) == pytest.approx(4**eta)
    if embedding is None:
        assert product(table, 1024, 1.0) == 0
    else:
        assert product(table, 1024, 1.0) / product(table, 128, 1.0) == pytest.approx(embedding)


@pytest.mark.parametrize(
    ("name", "optimizer", "hidden", "eps"),
    [
        ("depth_mup", "adamw", 1 / 2, 1 / 2),
        ("depth_mup", "sgd", 1, None),
        ("completep", "adamw", 1, 1 / 4),
        ("completep", "sgd", 4, None),
        ("spectral", "muon", 1, None),
        ("spectral", "muon-kimi", 1, None),
        ("mup", "adamw", 1, 1),
    ],
)
def test_depth_moves_the_rate_and_epsilon_of_what_is_in_a_block(
    name: str, optimizer: str, hidden: float, eps: float | None
) -> None:
    subject = getattr(reference_model, name)
    found = {}
    for depth in (2, 8):
        with torch.device("meta"):
            model = subject.build(128, depth=depth, gains=True)
        found[depth] = by_name(subject, model, optimizer=optimizer, lr=1.0)
    q, gain = "layers.0.attention.q.weight", "layers.0.attention_norm.gain"
    assert found[8][q]["lr"] / found[2][q]["lr"] == pytest.approx(hidden)
    for outside in ("embedding.weight", "norm.gain", "head.weight"):
        assert found[8][outside] | {"params": ()} == found[2][outside] | {"params": ()}
    if eps is not None:
        assert found[8][gain]["lr"] / found[2][gain]["lr"] == pytest.approx(hidden)
        for inside in (q, gain):
            assert found[8][inside]["eps"] / found[2][inside]["eps"] == pytest.approx(eps)


def test_muon_trains_hidden_matrices_and_adam_the_rest() -> None:
    model = reference_model.mup.build(256, gains=True)
    groups = by_name(reference_model.mup, model, optimizer="muon-kimi", lr=1.0)
    muon = {name for name, group in groups.items() if group["use_muon"]}
    assert muon == {name for name in groups if name.startswith("layers.") and "norm" not in name}
    assert groups["layers.0.ffn.up.weight"]["lr"] == pytest.approx(2**-0.5)  # base width 128
    assert groups["head.weight"]["lr"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "there is no 'heads'; there are head_dim, vocab"),
        ({"base_width": 64}, "no rule of umup goes by a base_width"),
        ({"weight_decay_rule": "none"}, "no rule of weight decay 'none'; there are plain"),
        ({"residual_meaning": "sum"}, "'sum' is not a valid ResidualMeaning"),
    ],
)
def test_an_option_that_there_is_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, InputError), match=message):
        reference_model.umup.build(128, **options)


def test_bases_move() -> None:
    with torch.device("meta"):
        model = reference_model.completep.build(256, depth=8, base_width=256, base_depth=8)
    groups = by_name(reference_model.completep, model, optimizer="adamw", lr=1.0)
    assert {group["lr"] for group in groups.values()} == {1.0}


def test_sp_keeps_pytorchs_weight_decay() -> None:
    model = reference_model.sp.build(1024)
    assert hidden_group(reference_model.sp, model, optimizer="adamw")["weight_decay"] == 0.1


def test_epsilon_goes_like_the_gradients() -> None:
    mup, umup = reference_model.mup.build(512), reference_model.umup.build(512)
    adamw = hidden_group(reference_model.mup, mup, optimizer="adamw")
    assert adamw["eps"] == pytest.approx(EPS / 4)  # base width 128
    assert hidden_group(reference_model.umup, umup, optimizer="adamw")["eps"] == EPS
    assert "eps" not in hidden_group(reference_model.mup, mup, optimizer="sgd")
