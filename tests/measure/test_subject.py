"""What a subject is made from, and the losses that batches and outputs of any shape have."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.subject import Subject, default_loss
from umup_diag.measure.subject.width_argument import of_width
from umup_diag.measure.training import scalar_loss, to_device

TOKENS = torch.arange(10).reshape(2, 5)
X, CLASSES = torch.randn(3, 4), torch.tensor([0, 2, 1])
LOGITS = torch.randn(2, 4, 16)
NEXT = F.cross_entropy(LOGITS.flatten(0, 1), TOKENS[:, 1:].flatten())
CPU = torch.device("cpu")


def gives(out: Any) -> Callable[..., Any]:
    return lambda *_, **__: out


OUTPUTS = {
    "a tensor": LOGITS,
    "a tuple": (LOGITS, "cache"),
    "logits": SimpleNamespace(logits=LOGITS),
    "a dict": {"logits": LOGITS, "hidden": torch.zeros(1)},
    "a dict without names": {"out": LOGITS},
}


@pytest.mark.parametrize("out", OUTPUTS.values(), ids=OUTPUTS)
def test_logits_are_found_in_any_output(out: Any) -> None:
    assert torch.equal(default_loss(gives(out), TOKENS), NEXT)


def both(x: Tensor, other: Tensor) -> Tensor:
    return x + other


def labelled(x: Tensor) -> Tensor:
    return x


PREDICTED = torch.randn(3, 1)
CASES = {
    "its own loss": (
        gives(SimpleNamespace(loss=torch.tensor(3.0))),
        {"input_ids": TOKENS, "labels": TOKENS},
        torch.tensor(3.0),
    ),
    "its own loss, in a dict": (
        gives({"loss": torch.tensor(3.0), "logits": LOGITS}),
        {"input_ids": TOKENS, "labels": TOKENS},
        torch.tensor(3.0),
    ),
    "labels that it does not take": (
        labelled,
        {"x": X, "labels": CLASSES},
        F.cross_entropy(X, CLASSES),
    ),
    "labels that it takes and leaves to us": (
        gives(X),
        {"x": X, "labels": CLASSES},
        F.cross_entropy(X, CLASSES),
    ),
    "input_ids alone": (
        gives(torch.cat([LOGITS, LOGITS[:, :1]], dim=1)),
        {"input_ids": TOKENS},
        NEXT,
    ),
    "classes": (gives(X), (X, CLASSES), F.cross_entropy(X, CLASSES)),
    "a regression target": (gives(PREDICTED), [X, X[:, 0]], F.mse_loss(PREDICTED[:, 0], X[:, 0])),
    "several inputs": (both, (X, X, 2 * X), torch.tensor(0.0)),
}


@pytest.mark.parametrize(("model", "batch", "loss"), CASES.values(), ids=CASES)
def test_a_batch_of_any_usual_shape_has_a_loss(model: Any, batch: Any, loss: Tensor) -> None:
    assert torch.equal(default_loss(model, batch), loss)


REFUSED = {
    "one float tensor": (gives(X), X, "give \\(input, target\\)"),
    "no labels": (gives(X), {"x": X}, "the batch has no labels"),
    "shapes": (gives(X), (X, torch.zeros(7)), "fits no target float32 \\(7,\\)"),
    "no tensor": (gives(None), (X, CLASSES), "the model returned NoneType, without logits"),
    "a set": (gives(X), {1, 2}, "a batch that is a set"),
}


@pytest.mark.parametrize(("model", "batch", "said"), REFUSED.values(), ids=REFUSED)
def test_a_batch_without_a_loss_is_refused(model: Any, batch: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"{said}.*give|{said}"):
        default_loss(model, batch)


def test_a_loss_may_come_as_an_output_that_has_it() -> None:
    def of(loss: Any) -> Tensor:
        subject = Subject(name="it", build=nn.Linear, loss=gives(loss))
        return scalar_loss(subject, nn.Linear(1, 1), X)

    assert of(SimpleNamespace(loss=torch.tensor(2.0))) == 2.0
    assert of(torch.tensor([2.0])).shape == ()
    for wrong in (X, None, 2.0):
        with pytest.raises(InputError, match="must return a scalar tensor"):
            of(wrong)


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


@dataclass
class Movable:
    place: str

    def to(self, device: torch.device) -> "Movable":
        return Movable(device.type)


def test_any_batch_is_moved_whole() -> None:
    moved = to_device({"pair": Pair(X, X), "list": [X, "text"], "own": Movable("nowhere")}, CPU)
    assert isinstance(moved["pair"], Pair)
    assert moved["own"].place == "cpu"
    assert moved["list"][1] == "text"


class Net(nn.Module):
    def __init__(self, vocabulary: int = 8, *, d_model: int, layers: int = 1) -> None:
        super().__init__()
        self.shape, self.layers = (vocabulary, d_model), layers


def test_the_width_is_the_argument_that_is_called_so_or_the_only_one_that_lacks() -> None:
    assert of_width(Net, {}, path="it")(64).shape == (8, 64)
    assert of_width(Net, {"layers": 3}, path="it")(64).layers == 3
    assert of_width(lambda w: w, {}, path="it")(64) == 64  # type: ignore[comparison-overlap]
    positional = of_width(lambda size, /: size, {}, path="it")
    assert positional(64) == 64  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(nn.Linear, "has no width", id="two sizes"),
        pytest.param(nn.TransformerEncoderLayer, "what nhead should be", id="more must be said"),
    ],
)
def test_where_the_width_is_not_clear_it_is_asked_for(make: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"(?s){said}.*Write build"):
        of_width(make, {}, path="it")


FILE = """
from dataclasses import dataclass
import beside
from torch import nn

@dataclass
class Config:
    depth: int = 2

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(Config().depth))

target = "umup"
def loss(model, batch): ...
def factory(width): return Net(width)
"""


def test_a_class_or_factory_in_a_file_brings_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text(FILE)
    (tmp_path / "beside.py").touch()
    for name in ("Net", "factory"):
        subject = Subject.load(f"{tmp_path}/random.py:{name}")
        assert [p.shape[0] for p in subject.model(8).parameters()] == [8] * 4
        assert (subject.target, subject.loss.__name__) == ("umup", "loss")
    import random

    assert not hasattr(random, "Net"), "the file hides no module of its name"


def test_what_is_offered_must_be_of_its_kind(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def build(width): ...\noptimizer = 'adam'\n")
    with pytest.raises(InputError, match="its optimizer is a str, which it cannot be"):
        Subject.load(f"{tmp_path}/own.py")


def test_a_configuration_of_ones_own_keeps_all_but_the_width() -> None:
    from transformers import LlamaConfig

    from umup_diag.measure.subject.huggingface import HuggingFace

    own = LlamaConfig(
        hidden_size=512,
        intermediate_size=1024,
        num_attention_heads=8,
        num_key_value_heads=2,
        num_hidden_layers=3,
        vocab_size=1000,
    )
    theirs = HuggingFace(own, {}, path="it")
    config = theirs.config(256)
    assert (config.hidden_size, config.intermediate_size) == (256, 512)
    assert (config.head_dim, config.num_attention_heads, config.num_key_value_heads) == (64, 4, 1)
    assert (config.num_hidden_layers, config.vocab_size) == (3, 1000)
    assert own.hidden_size == 512
    assert theirs.filled_in() == (
        "LlamaConfig with hidden_size = width, intermediate_size = 2·width, heads of 64 each; all "
        "else as it comes."
    )
    assert (
        HuggingFace(LlamaConfig, {"num_hidden_layers": 5}, path="it").config(64).num_hidden_layers
        == 5
    )


ONE = torch.zeros(2)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([{"parameters": []}], "KeyError: 'params'"),
        (7, "TypeError"),
        ([{"params": [ONE]}, {"params": [ONE]}], "ValueError: some parameters appear in more"),
    ],
)
def test_what_are_no_groups_is_said(groups: Any, said: str) -> None:
    subject = Subject(
        name="it", build=nn.Identity, parameter_groups=lambda model, *, optimizer, lr: groups
    )
    with pytest.raises(
        InputError, match=r"it: parameter_groups\(\.\.\.\) gave no groups of adam"
    ) as e:
        subject.named_optimizer("adam", subject.groups(nn.Identity(), optimizer="adam", lr=1.0))
    assert said in str(e.value)
