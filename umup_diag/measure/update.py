"""One update of a model: whose optimizer, where it steps, and what a meter sees of it."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.probe.update_meter import UpdateMeter
from umup_diag.measure.subject import Subject
from umup_diag.measure.users_code import calling

#: Takes the loss of a forward pass, and updates the model; a meter, if there is one, watches.
Update = Callable[[Tensor, UpdateMeter | None], None]

#: Powers of two that a loss is scaled by for its gradient, until nothing overflows. In float16 a
#: gradient of a wide model is below what the format holds; in any other the scale changes no bit.
_LOSS_SCALES = (16, 12, 8, 4, 0)


def updater(
    subject: Subject,
    model: nn.Module,
    batch: Any,
    *,
    optimizer: str | None,
    lr: float | None,
    weight_decay: float | None = None,
) -> Update:
    """What takes a loss, and does backward pass and update.

    A named optimizer steps each parameter as soon as its gradient is whole and then drops the
    gradient, so that no more than one layer's is alive: about 12 bytes a parameter under Adam. The
    subject's own optimizer may look at all gradients at once, so it steps after the backward pass,
    unless it steps inside by itself; with a meter that keeps 8 bytes a parameter more.

    A step of the subject's own does forward and backward pass itself, in pieces and scaled as it
    likes. What its gradients go through on the way does not matter: the loss change of its update
    is by the gradient of the loss before it, which costs one more pass.

    Args:
        subject: what trains it.
        model: to train.
        batch: for a step of the subject's own.
        optimizer: a name of `umup_diag.scaling.optimizers`; None for the subject's own.
        lr: learning rate of a named optimizer.
        weight_decay: of a named optimizer; None for what its groups have.

    Raises:
        InputError: if the subject's own optimizer is none.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def made() -> Any:
        return _optimizer(subject, model, optimizer, lr, weight_decay)

    if subject.step is not None:
        return _own_step(subject, model, batch, made())
    if optimizer is None:
        return _step_once(_as_several(made()), trainable)
    assert lr is not None
    single: dict[Tensor, torch.optim.Optimizer] = {}
    for group in subject.groups(model, optimizer=optimizer, lr=lr, weight_decay=weight_decay):
        for parameter in group["params"]:
            own = [{**group, "params": [parameter]}]
            single[parameter] = subject.named_optimizer(optimizer, own)
    return _step_in_backward(single, trainable)


def _optimizer(
    subject: Subject,
    model: nn.Module,
    name: str | None,
    lr: float | None,
    weight_decay: float | None,
) -> Any:
    if name is not None:
        assert lr is not None
        groups = subject.groups(model, optimizer=name, lr=lr, weight_decay=weight_decay)
        return subject.named_optimizer(name, groups)
    made: Any = subject.own_optimizer(model)
    if not all(callable(getattr(each, "step", None)) for each in _as_several(made)):
        raise InputError(
            f"--model {subject.name}: optimizer(model) returned {type(made).__name__}, which has "
            "no step()."
        )
    return made


def _as_several(optimizer: Any) -> Sequence[Any]:
    """Muon for matrices and AdamW for the rest are two, and step one after the other."""
    return optimizer if isinstance(optimizer, list | tuple) else [optimizer]


def _step_once(steppers: Sequence[Any], trainable: Collection[nn.Parameter]) -> Update:
    def update(loss: Tensor, meter: UpdateMeter | None) -> None:
        with _remembered(trainable, meter), calling("the backward pass"):
            loss.backward()
        with _received(steppers, meter), calling("the model's own optimizer.step()"):
            for optimizer in steppers:
                optimizer.step()
        _measured(steppers, trainable, meter)
        for parameter in trainable:
            parameter.grad = None

    return update


def _own_step(subject: Subject, model: nn.Module, batch: Any, optimizer: Any) -> Update:
    assert subject.step is not None
    train_step, steppers = subject.step, _as_several(optimizer)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def update(loss: Tensor, meter: UpdateMeter | None) -> None:
        if meter:
            for parameter, gradient in zip(trainable, gradients(loss, trainable), strict=True):
                if gradient is not None:
                    meter.before(parameter, gradient)
        what = f"--model {subject.name}: step(model, batch, optimizer)"
        with _received(steppers, meter), calling(what):
            train_step(model, batch, optimizer)
        _measured(steppers, trainable, meter)
        for parameter in trainable:
            parameter.grad = None

    return update


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """∂loss/∂p of each parameter, None where there is none; no hook of an optimizer runs.

    In float32 or wider, whatever the parameters are, and of a loss that is scaled on the way back.
    """
    for power in _LOSS_SCALES:
        found = torch.autograd.grad(
            loss * 2.0**power, parameters, retain_graph=power > 0, allow_unused=True
        )
        if all(each is None or bool(each.isfinite().all()) for each in found):
            break
    return [None if each is None else _wide(each) * 2.0**-power for each in found]


def _wide(x: Tensor) -> Tensor:
    x = x.to_dense() if x.is_sparse else x
    return x if x.dtype == torch.float64 else x.float()


def _step_in_backward(
    single: Mapping[Tensor, torch.optim.Optimizer], trainable: Collection[nn.Parameter]
) -> Update:
    """Each parameter has an optimizer of its own."""

    def update(loss: Tensor, meter: UpdateMeter | None) -> None:
        reached = set()

        def step(parameter: Tensor) -> None:
            reached.add(parameter)
            if meter and parameter.grad is not None:
                meter.before(parameter, parameter.grad)
                meter.received(parameter, parameter.grad)
            single[parameter].step()
            if meter:
                meter.after(parameter, single[parameter].param_groups[0])
            parameter.grad = None

        hooks = [p.register_post_accumulate_grad_hook(step) for p in single if p.requires_grad]
        try:
            with calling("the backward pass"):
                loss.backward()
        finally:
            for hook in hooks:
                hook.remove()
        if meter:
            for parameter in trainable:
                if parameter not in reached:
                    meter.after(parameter, {})

    return update


@contextmanager
def _remembered(trainable: Collection[Tensor], meter: UpdateMeter | None) -> Iterator[None]:
    """Tells the meter each gradient when it is whole, before an optimizer in the pass may step."""
    with ExitStack() as hooks:
        if meter:
            for parameter in trainable:
                remember = partial(_remember, meter, parameter)
                hooks.callback(parameter.register_hook(remember).remove)
        yield


def _remember(meter: UpdateMeter, parameter: Tensor, gradient: Tensor) -> None:
    meter.before(parameter, gradient.clone())  # it may be clipped in place


@contextmanager
def _received(steppers: Sequence[Any], meter: UpdateMeter | None) -> Iterator[None]:
    """Tells the meter the gradients that optimizers get, after clipping and unscaling."""

    def look(optimizer: Any, *_: Any) -> None:
        assert meter is not None
        scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer unscales by itself
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    meter.received(parameter, parameter.grad, scale)

    with ExitStack() as hooks:
        for optimizer in steppers if meter else ():
            if isinstance(optimizer, torch.optim.Optimizer):
                hooks.callback(optimizer.register_step_pre_hook(look).remove)
        yield
        for optimizer in steppers if meter else ():
            if not isinstance(optimizer, torch.optim.Optimizer) and hasattr(
                optimizer, "param_groups"
            ):
                look(optimizer)


def _measured(
    steppers: Sequence[Any], trainable: Collection[nn.Parameter], meter: UpdateMeter | None
) -> None:
    if meter:
        settings = _settings(steppers)
        for parameter in trainable:
            meter.after(parameter, settings.get(parameter, {}))


def _settings(steppers: Sequence[Any]) -> dict[Tensor, Mapping[str, Any]]:
    """What each parameter is trained with; a decay that is the class's default nobody chose."""
    found: dict[Tensor, Mapping[str, Any]] = {}
    for optimizer in steppers:
        default = inspect.signature(type(optimizer)).parameters.get("weight_decay")
        for group in getattr(optimizer, "param_groups", []):
            settings = dict(group)
            if default is not None and settings.get("weight_decay") == default.default:
                del settings["weight_decay"]
            found |= dict.fromkeys(group["params"], settings)
    return found
