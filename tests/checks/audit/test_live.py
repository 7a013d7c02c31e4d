"""The audit of a live optimizer: in a script, without a step, and without leaving a trace."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import umup_diag
from reference_model import mup
from reference_model.llama import Llama
from umup_diag.checks.audit.live import Audit
from umup_diag.checks.result import Verdict
from umup_diag.errors import InputError
from umup_diag.measure.without_memory import without_memory
from umup_diag.scaling import optimizers

NEEDS_MUP = pytest.mark.skipif(
    find_spec("mup") is None,
    reason="mup is not installed: pip install --no-deps mup (what it asks for replaces torch)",
)
TOKENS = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(0))


def trained(width: int, name: str = "adamw") -> tuple[Llama, Any]:
    model = mup.build(width)
    groups = mup.parameter_groups(model, optimizer=name, lr=2.0**-10, weight_decay=0.1)
    return model, optimizers.get(name).build(groups)


def loss(model: Any) -> Tensor:
    return mup.loss(model, TOKENS)


def failing(audit: Audit) -> dict[tuple[str, str], str | None]:
    findings = audit.result.findings
    return {(f.tensor, str(f.kind)): f.cause for f in findings if f.verdict is Verdict.FAIL}


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon", "muon-kimi"])
def test_a_right_model_passes_against_its_base(name: str) -> None:
    audit = umup_diag.audit(*trained(128, name), base=trained(64, name), loss=loss)
    assert audit.verdict is Verdict.PASS, str(audit)
    assert {"weight", "rate", "weight_decay"} <= {str(f.kind) for f in audit.result.findings}
    table = audit.frame().set_index("parameter")
    assert table.loc["head", "multiplier_ratio"] == pytest.approx(0.5)
    assert "audit: PASS" in str(audit)


def test_it_leaves_everything_as_it_was() -> None:
    model, optimizer = trained(128)
    scheduler = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    loss(model).backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    weights = [p.detach().clone() for p in model.parameters()]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    base = trained(64)
    state, random = scheduler.state_dict(), torch.get_rng_state()
    umup_diag.audit(model, optimizer, base=base, loss=loss, scheduler=scheduler)
    assert torch.equal(torch.get_rng_state(), random)
    now = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    assert now == groups
    assert scheduler.state_dict() == state
    assert not optimizer.state
    for p, weight, gradient in zip(model.parameters(), weights, gradients, strict=True):
        assert torch.equal(p, weight)
        assert p.grad is not None
        assert torch.equal(p.grad, gradient)


class Noisy(nn.Module):
    """Draws random numbers as it runs, and moves a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.norm(self.inner(x)), 0.5)


def test_a_model_with_dropout_leaves_random_numbers_and_buffers_as_they_were() -> None:
    model = Noisy()
    before, buffers = torch.get_rng_state(), [b.clone() for b in model.buffers()]
    optimizer = torch.optim.AdamW(model.parameters())
    umup_diag.audit(model, optimizer, loss=lambda of: of(torch.ones(4, 8)).square().sum())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, model.buffers(), buffers))


class OneRate(LRScheduler):
    """A scheduler as people write them: one rate, into every group."""

    def get_lr(self) -> list[float | Tensor]:
        return [2.0**-10 / (1 + self.last_epoch)] * len(self.optimizer.param_groups)


def test_a_scheduler_that_drops_the_groups_factors_is_named() -> None:
    model, optimizer = trained(256)
    right = umup_diag.audit(model, optimizer, scheduler=LambdaLR(optimizer, lambda step: 0.5))
    assert right.verdict is Verdict.PASS
    model, optimizer = trained(256)
    found = failing(umup_diag.audit(model, optimizer, scheduler=OneRate(optimizer)))
    assert set(found.values()) == {"the scheduler drops the group's factor"}
    assert {tensor for tensor, _ in found} == {n for n in names(model) if "layers." in n}


def names(model: nn.Module) -> list[str]:
    return [name.removesuffix(".weight") for name, _ in model.named_parameters()]


class Flattened:
    """A wrapper that keeps parameters and forgets rates."""

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        parameters = [p for group in groups for p in group["params"]]
        self.optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)


def test_a_wrapper_that_drops_the_groups_factors_is_named() -> None:
    model = mup.build(256)
    groups = mup.parameter_groups(model, optimizer="adamw", lr=2.0**-10)
    found = failing(umup_diag.audit(model, Flattened(groups, 2.0**-10), groups=groups))
    assert set(found.values()) == {"the optimizer holds another rate than its group was given"}
    assert {tensor for tensor, _ in found} == {n for n in names(model) if "layers." in n}


def test_parameters_in_no_group_and_in_two_optimizers_are_named() -> None:
    model = mup.build(64)
    inner = [p for name, p in model.named_parameters() if "layers." in name]
    two = [torch.optim.AdamW(inner), torch.optim.SGD([model.head.weight, inner[0]], lr=0.1)]
    assert failing(umup_diag.audit(model, two)) == {
        ("embedding", "held"): "in no group of the optimizer",
        ("layers.0.attention.q", "held"): "in the optimizer more than once",
    }


def test_an_optimizer_without_groups_is_refused() -> None:
    with pytest.raises(InputError, match=r"object has no param_groups, so its learning rates"):
        umup_diag.audit(mup.build(64), object())


def test_a_model_without_memory_is_audited_by_its_settings() -> None:
    with without_memory():
        large, small = trained(4096), trained(256)
    audit = umup_diag.audit(*large, base=small)
    assert audit.verdict is Verdict.PASS, str(audit)
    table = audit.frame().set_index("parameter")
    assert table.loc["layers.0.ffn.up", "lr_ratio"] == pytest.approx(1 / 16)


def test_without_a_loss_a_multiplier_may_make_up_for_a_rate() -> None:
    with without_memory():
        large, small = mup.build(256), mup.build(64)
    audit = umup_diag.audit(
        large,
        torch.optim.AdamW(large.parameters(), weight_decay=0.0),
        base=(small, torch.optim.AdamW(small.parameters(), weight_decay=0.0)),
    )
    assert (audit.verdict, failing(audit)) == (Verdict.INCONCLUSIVE, {})
    assert "none was measured: give a loss" in str(audit.result.findings[0].cause)


def test_names_are_the_models_own_inside_a_wrapper() -> None:
    model, optimizer = trained(64)
    table = umup_diag.audit(nn.DataParallel(model), optimizer).frame()
    assert list(table["parameter"]) == names(model)


def test_without_a_base_it_says_what_it_cannot_judge() -> None:
    audit = umup_diag.audit(*trained(64))
    assert "No base model" in str(audit)
    assert {str(finding.kind) for finding in audit.result.findings} == {"held"}


class Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        from mup import MuReadout

        self.first, self.hidden = nn.Linear(64, width), nn.Linear(width, width)
        self.last = MuReadout(width, 64)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.hidden(self.first(x).relu()).relu())
        return out


def of_mup(width: int, optimizer: str, *, rescale: bool = True) -> tuple[nn.Module, Any]:
    """As the package's own example does."""
    import mup as package

    model = Perceptron(width)
    package.set_base_shapes(model, Perceptron(64), delta=Perceptron(128), rescale_params=rescale)
    kind = getattr(package, optimizer)
    return model, kind(model.parameters(), lr=2.0**-10, weight_decay=2.0**-4)


def classify(model: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 64, generator=generator)
    return F.cross_entropy(model(x), torch.arange(16))


@NEEDS_MUP
@pytest.mark.parametrize("optimizer", ["MuAdamW", "MuSGD"])
def test_what_mup_leaves_is_read_and_passes(optimizer: str) -> None:
    alone = umup_diag.audit(*of_mup(512, optimizer))
    assert alone.verdict is Verdict.PASS, str(alone)
    table = alone.frame().set_index("parameter")
    hidden, first = table.loc["hidden"], table.loc["first"]
    factors = {"MuAdamW": (1 / 8, 1.0), "MuSGD": (1.0, 8.0)}[optimizer]
    assert (hidden["lr_ratio"], first["lr_ratio"]) == pytest.approx(factors)
    base = of_mup(128, optimizer)
    assert umup_diag.audit(*of_mup(512, optimizer), base=base, loss=classify).verdict == "PASS"


@NEEDS_MUP
def test_an_init_that_base_shapes_did_not_rescale_is_named() -> None:
    base = of_mup(128, "MuAdamW", rescale=False)
    audit = umup_diag.audit(*of_mup(512, "MuAdamW", rescale=False), base=base, loss=classify)
    cause = "init not rescaled by set_base_shapes, or drawn anew after it"
    assert failing(audit) == {("last", "weight"): cause}


@NEEDS_MUP
def test_a_parameter_without_a_base_shape_is_named() -> None:
    model, _ = of_mup(512, "MuAdamW")
    model.late = nn.Linear(8, 8, bias=False)
    found = failing(umup_diag.audit(model, torch.optim.AdamW(model.parameters())))
    assert found == {("late", "base_shape"): "has no base shape, and others have"}


def of_huggingface(width: int) -> tuple[nn.Module, Any]:
    import transformers

    config = transformers.LlamaConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=1,
        num_attention_heads=width // 16,
        vocab_size=256,
    )
    model = transformers.LlamaForCausalLM(config)
    return model, torch.optim.AdamW(model.parameters(), weight_decay=0.0)


def test_a_hugging_face_llama_is_held_to_mup() -> None:
    """It starts at 0.02 at every width and has one rate: every matrix inside is named, twice."""

    def next_token(model: Any) -> Tensor:
        logits = model(TOKENS[:, :-1]).logits
        return F.cross_entropy(logits.flatten(0, 1), TOKENS[:, 1:].flatten())

    audit = umup_diag.audit(*of_huggingface(128), base=of_huggingface(64), loss=next_token)
    found = failing(audit)
    inner = {tensor for tensor, _ in found if "_proj" in tensor}
    assert len(inner) == 7
    for tensor in inner:
        assert found[tensor, "weight"] == "init scaled by the wrong power of width"
        assert found[tensor, "rate"] == "learning rate not scaled with width"
    assert found["lm_head", "weight"] == "multiplier scaled by the wrong power of width"
    assert not any("norm" in tensor for tensor, _ in found)
