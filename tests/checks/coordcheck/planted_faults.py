"""Mistakes that people make in a u-µP model, one line each, planted in the reference model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from reference_model import unit_ops
from reference_model.llama import (
    Attention,
    Embedding,
    FeedForward,
    HyperParameters,
    Layer,
    Linear,
    Llama,
)
from reference_model.residual import ResidualWeights
from reference_model.scale import scale
from reference_model.subject import LlamaSubject
from reference_model.unit_ops import attention_scale, gated_silu_scale
from umup_diag.scaling.schemes import UMUP

Plant = Callable[[Llama], None]
ALL = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A mistake, and where the check must see it.

    Attributes:
        plant: breaks a healthy model.
        tensor: in the name of a tensor that must fail.
        kind: of that tensor.
        width: to build at.
        alpha_residual: to build with.
    """

    plant: Plant
    tensor: str = ""
    kind: str = ""
    width: int = 128
    alpha_residual: float = 1.0


def subject(fault: Fault) -> LlamaSubject:
    class Broken(LlamaSubject):
        def build(self, width: int, **options: Any) -> Llama:
            model = LlamaSubject.build(self, width, **options)
            fault.plant(model)
            return model

    return Broken(
        scheme=UMUP,
        target="umup",
        learning_rates={},
        hyperparameters=HyperParameters(alpha_residual=fault.alpha_residual),
    )


def swap(where: str, **ops: Any) -> Plant:
    """Put other ops into every module whose name contains `where`."""
    faulty = SimpleNamespace(**{**vars(unit_ops), **ops})

    def plant(model: Llama) -> None:
        for name, module in model.named_modules():
            if where in name and hasattr(module, "ops"):
                module.__class__ = type("Faulty", (type(module),), {"ops": faulty})

    return plant


def linears(where: str, change: Callable[[Linear], None]) -> Plant:
    """Change every hidden linear whose name contains `where`."""

    def plant(model: Llama) -> None:
        for name, module in model.named_modules():
            if where in name and type(module) is Linear:
                change(module)

    return plant


def residual(weights: Callable[[ResidualWeights], ResidualWeights]) -> Plant:
    def plant(model: Llama) -> None:
        for layer in model.layers:
            assert isinstance(layer, Layer)
            attention, ffn = layer.weights
            layer.weights = (weights(attention), weights(ffn))

    return plant


def linear(*, forward: bool = True, backward: bool = True) -> Callable[..., Tensor]:
    """The linear without one of its multipliers."""

    def op(x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor:
        x = scale(x, backward=multiplier if backward else 1.0)
        weight = scale(weight, backward=(x.numel() // x.shape[-1]) ** -0.5)
        return scale(F.linear(x, weight), forward=multiplier if forward else 1.0)

    return op


def readout(forward: float, backward: float) -> Callable[..., Tensor]:
    """The readout with other powers of fan-in."""

    def op(x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor:
        fan_in = weight.shape[1]
        return scale(F.linear(scale(x, backward=fan_in**backward), weight), forward=fan_in**forward)

    return op


def attention(*, forward: bool = True, query: bool = True, value: bool = True) -> Any:
    """Attention that leaves out some divisions by σ."""

    def op(q: Tensor, k: Tensor, v: Tensor, *, multiplier: float) -> Tensor:
        *_, seq_len, head_dim = q.shape
        sigma = attention_scale(seq_len=seq_len, head_dim=head_dim, alpha=multiplier * head_dim)
        out = F.scaled_dot_product_attention(
            scale(q, backward=1 / sigma if query else 1.0),
            scale(k, backward=1 / sigma),
            scale(v, backward=1 / sigma if value else 1.0),
            is_causal=True,
            scale=multiplier,
        )
        return scale(out, forward=1 / sigma if forward else 1.0)

    return op


def gated_silu(forward: float, backward: float) -> Any:
    def op(x: Tensor, gate: Tensor, *, alpha: float) -> Tensor:
        sigma = gated_silu_scale(alpha=alpha)
        x, gate = (scale(each, backward=sigma**backward) for each in (x, gate))
        return scale(x * gate * (gate * alpha).sigmoid(), forward=sigma**forward)

    return op


def softmax_scale(power: float) -> Plant:
    def plant(model: Llama) -> None:
        for module in model.modules():
            if isinstance(module, Attention):
                module.multiplier = module.head_dim**power

    return plant


def gain(where: type[nn.Module], factor: float) -> Plant:
    """Multiply what a block in layer 0 is given, as a norm's gain would."""

    def plant(model: Llama) -> None:
        block = next(module for module in model.modules() if isinstance(module, where))
        block.register_forward_pre_hook(lambda _, args: (args[0] * factor,))

    return plant


def initialised(where: str, std: Callable[[Linear | Embedding], float]) -> Plant:
    def plant(model: Llama) -> None:
        for name, module in model.named_modules():
            if where in name and isinstance(module, Linear | Embedding):
                nn.init.normal_(module.weight, std=std(module))

    return plant


def unscaled(module: Linear | Embedding) -> float:
    return float(module.weight.shape[1] ** -0.5)


def multiplied(factor: Callable[[Linear], float]) -> Callable[[Linear], None]:
    def change(module: Linear) -> None:
        multiplier = module.scales.multiplier * factor(module)
        module.scales = replace(module.scales, multiplier=multiplier)

    return change


def plain_residual_add(residual: Tensor, stream: Tensor, *, branch: float, skip: float) -> Tensor:
    return residual * branch + stream * skip


def undelayed_split(stream: Tensor, *, branch: float, skip: float) -> tuple[Tensor, Tensor]:
    return stream, stream


def mean_loss(logits: Tensor, targets: Tensor, *, alpha: float) -> Tensor:
    return F.cross_entropy(logits * alpha, targets)


def fan_out_multiplier(module: Linear) -> float:
    return float((module.in_features / module.out_features) ** 0.5)


def eq_22(shape_alpha: float) -> Plant:
    """Residual weights by the paper's equation (22) as printed: no squares, 1/√L outside."""

    def plant(model: Llama) -> None:
        sublayers = 2 * len(model.layers)
        for index, layer in enumerate(model.layers):
            assert isinstance(layer, Layer)
            weights = []
            for after in (0, 1):
                tau = shape_alpha / sublayers**0.5
                tau /= 1 + (index + after) * shape_alpha + index * shape_alpha
                weights.append(ResidualWeights((tau / (tau + 1)) ** 0.5, (tau + 1) ** -0.5))
            layer.weights = (weights[0], weights[1])

    return plant


def zero_head(model: Llama) -> None:
    nn.init.zeros_(model.head.weight)


ONE = "layers.1.ffn.down"

#: What unit scale at init sees.
SEEN = {
    "forward multiplier missing": Fault(
        plant=swap("layers", linear=linear(forward=False)), tensor="ffn.up", kind="output"
    ),
    "forward multiplier missing in one layer": Fault(
        plant=swap(ONE, linear=linear(forward=False)), tensor=ONE, kind="output"
    ),
    "backward multiplier missing": Fault(
        plant=swap("layers", linear=linear(backward=False)), tensor="ffn.up", kind="grad_output"
    ),
    "backward multiplier missing in one layer": Fault(
        plant=swap(ONE, linear=linear(backward=False)),
        tensor="layers.1.ffn.up",
        kind="grad_output",
    ),
    "readout backward by 1/√fan-in, as printed": Fault(
        plant=swap("head", readout=readout(-1, -0.5)),
        tensor="layers.1.ffn.down",
        kind="grad_output",
        width=64,
    ),
    "readout backward by autograd's 1/fan-in": Fault(
        plant=swap("head", readout=readout(-1, -1)), tensor="ffn.down", kind="grad_output"
    ),
    "readout forward by 1/√fan-in": Fault(
        plant=swap("head", readout=readout(-0.5, -0.5)), tensor="head", kind="output"
    ),
    "initial std 1/√fan-in": Fault(
        plant=initialised("layers", unscaled),
        tensor="attention.q",
        kind="weight",
    ),
    "initial std 1/√fan-in in one layer": Fault(
        plant=initialised(ONE, unscaled),
        tensor=ONE,
        kind="weight",
    ),
    "embedding std 0.02": Fault(
        plant=initialised("embedding", lambda _: 0.02), tensor="embedding", kind="weight"
    ),
    "readout of zeros": Fault(plant=zero_head, tensor="head", kind="weight"),
    "softmax scale 1/√d_head": Fault(
        plant=softmax_scale(-0.5), tensor="attention", kind="attention_logits"
    ),
    "softmax scale 1/d_head²": Fault(
        plant=softmax_scale(-2), tensor="attention", kind="attention_logits"
    ),
    "attention not divided by σ": Fault(
        plant=swap("attention", attention=attention(forward=False)),
        tensor="attention.out",
        kind="input",
    ),
    "values' gradient not divided by σ": Fault(
        plant=swap("attention", attention=attention(value=False)),
        tensor="attention.v",
        kind="grad_output",
    ),
    "queries' gradient not divided by σ": Fault(
        plant=swap("attention", attention=attention(query=False)),
        tensor="attention.q",
        kind="grad_output",
    ),
    "gated SiLU not divided by σ": Fault(
        plant=swap("ffn", gated_silu=gated_silu(0, -1)), tensor="ffn.down", kind="input"
    ),
    "gated SiLU's gradient not divided by σ": Fault(
        plant=swap("ffn", gated_silu=gated_silu(-1, 0)), tensor="ffn.up", kind="grad_output"
    ),
    "gain of 2 before attention": Fault(
        plant=gain(Attention, 2.0), tensor="layers.0.attention.q", kind="input"
    ),
    "gain of 2 before the FFN": Fault(
        plant=gain(FeedForward, 2.0), tensor="layers.0.ffn.up", kind="input"
    ),
    "multiplier by fan-out": Fault(
        plant=linears("ffn.down", multiplied(fan_out_multiplier)), tensor="ffn.down", kind="output"
    ),
    "gain of 2 on queries": Fault(
        plant=linears("attention.q", multiplied(lambda _: 2.0)),
        tensor="attention.q",
        kind="output",
    ),
    "mean cross-entropy with autograd's gradient": Fault(
        plant=swap(ALL, cross_entropy=mean_loss), tensor="head", kind="grad_output"
    ),
    "branch weight not delayed to its base": Fault(
        plant=swap(ALL, residual_split=undelayed_split, residual_add=plain_residual_add),
        tensor="attention.out",
        kind="grad_output",
    ),
    "branches and skips of weight 1": Fault(
        plant=residual(lambda _: ResidualWeights(1.0, 1.0)),
        tensor="ffn.down",
        kind="grad_output",
    ),
}


def _learning_rates(model: Llama) -> None:
    for module in model.modules():
        if isinstance(module, Linear | Embedding):
            lr = dict.fromkeys(module.scales.lr, 1.0)
            module.scales = replace(module.scales, lr=lr)


def _weight_gradients(x: Tensor, weight: Tensor, *, multiplier: float) -> Tensor:
    x = scale(x, backward=multiplier)
    return scale(F.linear(x, scale(weight, backward=multiplier)), forward=multiplier)


#: What it cannot see in principle, why, and what does.
UNSEEN = {
    "τ by the other meaning of α_residual": (
        Fault(
            plant=residual(
                lambda w: ResidualWeights(
                    (2 * w.branch**2 / (1 + w.branch**2)) ** 0.5,
                    ((1 - w.branch**2) / (1 + w.branch**2)) ** 0.5,
                )
            )
        ),
        "the squares of branch and skip sum to 1 for every τ, so the stream stays at unit scale",
        "the residual weights against the plain network's (tests/reference_model/test_residual.py)",
    ),
    "equation (22) as printed, α_residual = 4": (
        Fault(plant=eq_22(4.0), alpha_residual=4.0),
        "the same: only each branch's share of the stream is wrong",
        "the residual weights against the plain network's (tests/reference_model/test_residual.py)",
    ),
    "one learning rate for every layer": (
        Fault(plant=_learning_rates),
        "nothing is updated at init",
        "coordcheck, by the slope of update_gain",
    ),
    "weight gradients times 1/√fan-in": (
        Fault(plant=swap("layers", linear=_weight_gradients)),
        "weight gradients are no operand of a matmul, and are not looked at",
        "coordcheck, by the slope of loss_change",
    ),
}
