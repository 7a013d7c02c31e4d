"""Mistakes in how a model is initialised and trained, planted in the reference model under µP."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from reference_model import LlamaSubject, mup
from reference_model.llama import Attention, Llama
from umup_diag.scaling.schemes import MUP

Group = dict[str, Any]
BASE = 2.0**-10  #: a learning rate


def _like(**methods: Any) -> LlamaSubject:
    """The reference model under µP, with methods of its own."""
    kind = type("Planted", (LlamaSubject,), {"__slots__": (), **methods})
    found: LlamaSubject = kind(scheme=MUP, target="mup", learning_rates={})
    return found


def _regrouped(change: Callable[[str, Group], Group | None]) -> LlamaSubject:
    """With each parameter's group changed, by the parameter's name; None leaves it out."""

    def parameter_groups(self: LlamaSubject, model: Llama, **asked: Any) -> list[Group]:
        names = {parameter: name for name, parameter in model.named_parameters()}
        groups = LlamaSubject.parameter_groups(self, model, **asked)
        changed = [change(names[group["params"][0]], group) for group in groups]
        return [group for group in changed if group is not None]

    return _like(parameter_groups=parameter_groups)


def _rebuilt(change: Callable[[Llama, int], None], **options: Any) -> LlamaSubject:
    """With the built model changed."""

    def build(self: LlamaSubject, width: int, **asked: Any) -> Llama:
        shaped = {name: make(width) for name, make in options.items()}
        model = LlamaSubject.build(self, width, **{**shaped, **asked})
        change(model, width)
        return model

    return _like(build=build)


def _constant_rate(where: str) -> LlamaSubject:
    def change(name: str, group: Group) -> Group:
        return {**group, "lr": BASE} if where in name else group

    return _regrouped(change)


def _matrix_rate_for_gains() -> LlamaSubject:
    def parameter_groups(self: LlamaSubject, model: Llama, **asked: Any) -> list[Group]:
        groups = LlamaSubject.parameter_groups(self, model, **asked)
        least = min(group["lr"] for group in groups)
        return [
            {**group, "lr": least} if group["params"][0].dim() == 1 else group for group in groups
        ]

    def build(self: LlamaSubject, width: int, **asked: Any) -> Llama:
        return LlamaSubject.build(self, width, gains=True, **asked)

    return _like(parameter_groups=parameter_groups, build=build)


def _optimizer(make: Callable[[Llama, list[Group]], Any]) -> LlamaSubject:
    def optimizer(self: LlamaSubject, model: Llama) -> Any:
        return make(model, LlamaSubject.parameter_groups(self, model, optimizer="adam", lr=BASE))

    return _like(optimizer=optimizer)


def _twice(model: Llama, groups: list[Group]) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam(groups), torch.optim.SGD([model.head.weight], lr=BASE)]


def _constant_epsilon(_: Llama, groups: list[Group]) -> torch.optim.Optimizer:
    return torch.optim.Adam([{**group, "eps": 1e-6} for group in groups])


def _head_init(power: float) -> Callable[[Llama, int], None]:
    def change(model: Llama, width: int) -> None:
        nn.init.normal_(model.head.weight, std=width**power)

    return change


def _head_multiplier(model: Llama, width: int) -> None:
    scales = model.head.scales
    model.head.scales = replace(scales, multiplier=scales.multiplier * width**0.5)


def _softmax_scale(power: float) -> Callable[[Llama, int], None]:
    def change(model: Llama, width: int) -> None:
        for module in model.modules():
            if isinstance(module, Attention):
                module.multiplier = (width // 4) ** power

    return change


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A mistake and what must be said of it.

    Attributes:
        subject: that has it.
        tensors: that must fail, by a part of their names, and no others.
        kind: of the findings.
        cause: in words.
        fix: in words.
        options: of the audit.
    """

    subject: LlamaSubject
    tensors: str
    kind: str
    cause: str
    fix: str
    options: dict[str, Any]


def _fault(
    subject: LlamaSubject, tensors: str, kind: str, cause: str, fix: str, **options: Any
) -> Fault:
    return Fault(subject=subject, tensors=tensors, kind=kind, cause=cause, fix=fix, options=options)


FAULTS = {
    "rate": _fault(
        _constant_rate("layers."),
        "layers.",
        "rate",
        "learning rate not scaled with width",
        "multiply the learning rate by width^-1",
    ),
    "one_rate": _fault(
        _constant_rate("layers.1.ffn.up"),
        "layers.1.ffn.up",
        "rate",
        "learning rate not scaled with width",
        "multiply the learning rate by width^-1",
    ),
    "embedding_rate": _fault(
        _regrouped(
            lambda name, group: (
                {**group, "lr": group["lr"] * group["params"][0].shape[1] ** -0.5}
                if "embedding" in name
                else group
            )
        ),
        "embedding",
        "rate",
        "learning rate scaled by the wrong power of width",
        "multiply the learning rate by width^+0.5",
    ),
    "gains": _fault(
        _matrix_rate_for_gains(),
        "norm",
        "rate",
        "trained with a matrix's learning rate",
        "multiply the learning rate by width^+1",
    ),
    "decay": _fault(
        _regrouped(lambda _, group: {**group, "weight_decay": 0.1}),
        "layers.",
        "weight_decay",
        "weight decay not scaled with the learning rate",
        "multiply the weight decay by width^+1",
        optimizer="adamw",
        weight_decay=0.1,
    ),
    "readout_init": _fault(
        _rebuilt(_head_init(-0.5)),
        "head",
        "weight",
        "readout initialised as a hidden matrix",
        "multiply the initial weights by width^+0.5",
    ),
    "multiplier": _fault(
        _rebuilt(_head_multiplier),
        "head",
        "weight",
        "multiplier scaled by the wrong power of width",
        "multiply the multiplier by width^-0.5",
    ),
    "attention": _fault(
        _rebuilt(_softmax_scale(-0.5), head_dim=lambda width: width // 4),
        "attention",
        "attention_logits",
        "attention scaled by 1/√d",
        "multiply the attention logits by width^-0.5",
        seeds=5,
    ),
    "left_out": _fault(
        _regrouped(lambda name, group: None if "head" in name else group),
        "head",
        "held",
        "in no group of the optimizer",
        "give it to the optimizer, or set requires_grad = False",
    ),
    "twice": _fault(
        _optimizer(_twice),
        "head",
        "held",
        "in the optimizer more than once",
        "leave it out of all groups but one",
    ),
}
HEALTHY = {
    "growing_heads": _rebuilt(_softmax_scale(-1.0), head_dim=lambda width: width // 4),
}
#: ``--model tests.checks.audit.planted:SUBJECTS.rate``.
SUBJECTS = SimpleNamespace(
    **{name: fault.subject for name, fault in FAULTS.items()},
    **HEALTHY,
    mup=mup,
    constant_epsilon=_optimizer(_constant_epsilon),
)

no_depth = SimpleNamespace(
    build=lambda width: mup.build(width),
    parameter_groups=mup.parameter_groups,
    loss=mup.loss,
)
