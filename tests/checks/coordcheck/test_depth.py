"""Over depth: right rules pass, and each of five mistakes is named with its power of depth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import nn

import reference_model
from reference_model.llama import Layer, Llama
from reference_model.residual import ResidualWeights
from reference_model.subject import LlamaSubject
from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.measure import complete, sweep
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.fix import Multiply
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject import Subject
from umup_diag.recording import Recording
from umup_diag.report.names import collapse, starred
from umup_diag.scaling.kinds import Kind

DEPTHS, WIDTH, HEAD = (2, 4, 8, 16), 32, 16
BRANCHES = ["layers[*].attention.out", "layers[*].ffn.down"]
MATRICES = [f"layers[*].{name}" for name in ("attention.q", "attention.v", "ffn.up", "ffn.down")]


def judged(subject: Subject, **changes: Any) -> Result:
    settings = complete(
        CoordcheckSettings(
            **{
                "model": subject.name,
                "depths": DEPTHS,
                "width": WIDTH,
                "seeds": 3,
                "steps": 1,
                "batch_size": 2,
                **changes,
            }
        ),
        subject,
    )
    recording = Recording(command="coordcheck", settings=settings.encode(), environment={})
    sweep(subject, Corpus.load(), settings, recording, device=torch.device("cpu"))
    return judge(recording, settings)


def of(
    llama: LlamaSubject,
    *,
    plant: Callable[[Llama], None] | None = None,
    groups: Callable[[Llama, dict[str, Any]], None] | None = None,
    target: str | None = None,
    **scheme: Any,
) -> Subject:
    """The reference model at small heads, with a mistake in its scheme, its build or its groups."""
    broken = replace(llama, head_dim=HEAD, scheme=replace(llama.scheme, **scheme))

    def build(width: int, **options: Any) -> nn.Module:
        model = broken.build(width, **options)
        if plant:
            plant(model)
        return model

    def parameter_groups(model: Llama, **asked: Any) -> list[dict[str, Any]]:
        found = broken.parameter_groups(model, **asked)
        for group in found if groups else []:
            assert groups is not None
            groups(model, group)
        return found

    return Subject(
        name="broken",
        build=build,
        loss=broken.loss,
        parameter_groups=parameter_groups,
        learning_rates=broken.learning_rates,
        target=target or broken.target,
    )


def slopes(result: Result, kind: Kind, tensor: str) -> list[float]:
    return [
        each.slope
        for each in result.findings
        if isinstance(each, SlopeFinding) and each.kind == kind and tensor in each.tensor
    ]


def test_a_right_rule_passes_and_a_block_takes_its_share() -> None:
    result = judged(of(reference_model.completep))
    assert result.verdict is Verdict.PASS, result.counts()
    assert slopes(result, Kind.GAIN, "[last].ffn.down") == pytest.approx([-1.0], abs=0.05)
    assert slopes(result, Kind.GAIN, "[last].ffn.up") == pytest.approx([0.0], abs=0.05)
    # what ¼ leaves to a finite depth, on either side of the law
    assert slopes(result, Kind.LOSS_CHANGE, "[first].ffn.down") == pytest.approx([-1.0], abs=0.25)
    assert slopes(result, Kind.LOSS_CHANGE, "[all].ffn.down") == pytest.approx([0.0], abs=0.25)
    axes = {each.axis for each in result.findings if isinstance(each, SlopeFinding)}
    assert axes == {"depth"}


def test_a_few_blocks_do_not_fail_for_what_they_do_to_the_loss() -> None:
    right = judged(of(reference_model.completep), depths=(1, 2, 4))
    assert right.verdict is Verdict.PASS, right.counts()
    assert any("fewer than 8 of them" in note.text for note in right.notes)
    wrong = judged(of(reference_model.mup), depths=(1, 2, 4))
    named = {starred(each.tensor) for each in wrong.findings if each.cause == "residual branch"}
    assert named == set(BRANCHES)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A mistake, and what must be said of it.

    Attributes:
        subject: that has it.
        cause: to be named.
        what: to be multiplied.
        power: of depth, by which.
        tensors: to be changed.
        is_everywhere: whether more than those are: a mistake of the whole stack.
        settings: of the check, where they are not the usual.
    """

    subject: Callable[[], Subject]
    cause: str
    what: str
    power: float
    tensors: list[str]
    is_everywhere: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def _last_branch(model: Llama) -> None:
    layer = model.layers[-1]
    assert isinstance(layer, Layer)
    layer.weights = (layer.weights[0], ResidualWeights(1.0, 1.0))


def _large_eps(model: Llama, group: dict[str, Any]) -> None:
    group["eps"] = 3e-2  # as large as the gradients of the deeper models' blocks


def _plain_decay(model: Llama, group: dict[str, Any]) -> None:
    group["weight_decay"] = 0.1


def _first_rate(model: Llama, group: dict[str, Any]) -> None:
    if group["params"][0] is model.get_parameter("layers.0.ffn.up.weight"):
        group["lr"] *= len(model.layers) / DEPTHS[0]


FAULTS = {
    "branches as in SP": Fault(
        subject=lambda: of(reference_model.completep, branch=0.0),
        cause="residual branch",
        what="branch multiplier",
        power=-1.0,
        tensors=BRANCHES,
    ),
    "no rate for depth": Fault(
        subject=lambda: of(
            reference_model.depth_mup,
            depth_lr=dict.fromkeys(reference_model.depth_mup.scheme.depth_lr, 0.0),
        ),
        cause="learning rate",
        what="learning rate",
        power=-0.5,
        tensors=MATRICES,
        is_everywhere=True,
    ),
    "one ε": Fault(
        subject=lambda: of(reference_model.completep, groups=_large_eps),
        cause="epsilon",
        what="Adam's ε",
        power=-1.0,
        tensors=["layers[*].attention.out"],
        is_everywhere=True,
    ),
    "a λ that does not make up for the rate": Fault(
        subject=lambda: of(reference_model.depth_mup, groups=_plain_decay),
        cause="weight decay",
        what="weight decay",
        power=0.5,
        tensors=MATRICES,
        is_everywhere=True,
        settings={"optimizer": "adamw", "weight_decay": 0.1},
    ),
    "the last branch": Fault(
        subject=lambda: of(reference_model.completep, plant=_last_branch),
        cause="residual branch",
        what="branch multiplier",
        power=-1.0,
        tensors=["layers[last].ffn.down"],
    ),
    "the rate of the first block": Fault(
        subject=lambda: of(reference_model.completep, groups=_first_rate),
        cause="learning rate",
        what="learning rate",
        power=-1.0,
        tensors=["layers[first].ffn.up"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_power_of_depth(fault: Fault) -> None:
    result = judged(fault.subject(), **fault.settings)
    assert result.verdict is Verdict.FAIL
    fixed = [each for each in result.findings if each.fix]
    assert {each.cause for each in fixed} == {fault.cause}, "one cause, and nothing else to change"
    for each in fixed:
        assert each.fix
        (step,) = each.fix.steps
        assert isinstance(step, Multiply)
        assert (step.what, step.axis) == (fault.what, "depth")
        # ε goes with a gradient, whose power at a finite depth is off as that of a loss change is
        assert step.exponent == pytest.approx(
            fault.power, abs=0.3 if fault.cause == "epsilon" else 0.2
        )
    named = collapse([each.tensor for each in fixed], among=[f.tensor for f in result.findings])
    if fault.is_everywhere:
        assert set(fault.tensors) <= set(named)
    else:
        assert named == fault.tensors


def test_both_axes_make_one_verdict_and_each_names_its_own_powers() -> None:
    result = judged(of(reference_model.sp), widths=(32, 64, 128), depths=(2, 4), width=None)
    assert result.verdict is Verdict.FAIL
    fixes = {
        (step.what, step.axis, round(step.exponent or 0.0))
        for each in result.findings
        if each.fix
        for step in each.fix.steps
        if isinstance(step, Multiply)
    }
    assert ("learning rate", "width", -1) in fixes
    assert ("branch multiplier", "depth", -1) in fixes
    assert any(
        "mup says nothing of depth: blocks are held to completep" in n.text for n in result.notes
    )
    kinds = {(f.tensor, f.kind, f.place) for f in result.findings}
    assert len(kinds) == len(result.findings), "each finding is told from every other"


def test_a_build_that_takes_no_depth_is_refused() -> None:
    subject = replace(of(reference_model.mup), build=lambda width: reference_model.mup.build(width))
    with pytest.raises(InputError, match="its build takes no depth"):
        judged(subject)


def test_a_depth_that_changes_nothing_is_refused() -> None:
    llama = reference_model.mup
    subject = replace(
        of(llama),
        build=lambda width, depth: llama.build(width, head_dim=HEAD),
    )
    with pytest.raises(InputError, match="nothing changes between depth 2 and 4"):
        judged(subject, depths=(2, 4))


def test_another_axis_is_judged_without_a_theory_of_it() -> None:
    result = judged(
        of(reference_model.mup), depths=None, axis={"kv_repeat": (1, 2, 4)}, width=128, batch_size=4
    )
    assert result.verdict is Verdict.PASS, result.counts()
    assert {each.axis for each in result.findings if isinstance(each, SlopeFinding)} == {
        "kv_repeat"
    }
