"""FP8 training simulated on any device: every linear layer computes with cast operands."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.numerics.recipes import Casts, Recipe, plan_casts
from umup_diag.numerics.straight_through import quantize_backward, quantize_forward


@contextmanager
def simulate_fp8(
    model: nn.Module, recipe: str | Path | Recipe = "workshop"
) -> Iterator[dict[str, Casts]]:
    """Cast the operands of every `nn.Linear`, subclasses included, as an FP8 matmul would.

    Input and weight are cast on the way forward, the gradient of the output on the way back:
    nearest even, saturating, no scaling factor. Sums, and all else, keep the model's own
    precision. Gradients of input and weight pass through their casts unchanged.

    The casts sit inside the layer's `forward`. Hooks run around it, so whatever they see, in
    whatever order they were registered, is not cast yet: a recorder sees the inputs, the
    gradients of outputs and the parameters that the casts are about to change. Parameters stay
    the same objects with the same values and names, so optimizers and checkpoints notice nothing.
    On leaving, also by an exception, the model is as it was; a graph that was built inside can
    still be walked backward outside.

    A layer whose parent reads its weight instead of calling it cannot be cast this way:
    `nn.MultiheadAttention` does so with its `out_proj`.

    Args:
        model: any module.
        recipe: ``workshop``, ``final``, ``all-e4m3`` or ``none``; a TOML file's path; or a mapping
            (`umup_diag.numerics.recipes`).

    Yields:
        What each linear layer is cast to, by the layer's name.

    Raises:
        InputError: an unknown recipe; a pattern of a user's own that matches no linear layer; a
            model without one; a layer that cannot be cast.
    """
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    if not linears:
        raise InputError(f"{type(model).__name__} has no nn.Linear to cast")
    plan = plan_casts(linears, recipe)
    _refuse_uncalled(model, plan)
    with ExitStack() as undo:
        for name, casts in plan.items():
            if casts != Casts():
                linear = linears[name]
                forward = _with_casts(name, linear, linear.forward, casts)
                undo.callback(_shadow(linear, "forward", forward))
        yield plan


def _refuse_uncalled(model: nn.Module, plan: dict[str, Casts]) -> None:
    for name, module in model.named_modules():
        inside = f"{name}.out_proj" if name else "out_proj"
        if isinstance(module, nn.MultiheadAttention) and plan.get(inside, Casts()) != Casts():
            raise InputError(
                f"{inside} cannot be cast: nn.MultiheadAttention never calls it. "
                f"Leave it out with a recipe that maps {inside!r} to none"
            )


def _with_casts(
    name: str, linear: nn.Linear, forward: Callable[..., Any], casts: Casts
) -> Callable[..., Any]:
    """The layer's own `forward`, between the casts."""

    def cast_forward(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as undo:
            if casts.weight is not None:
                weight = quantize_forward(linear.weight, casts.weight)
                undo.callback(_shadow(linear, "weight", weight))
                if linear.weight is not weight:
                    raise InputError(f"the weight of {name} is computed and cannot be cast")
            if casts.input is not None:
                args, kwargs = _cast_first(args, kwargs, casts)
            output = forward(*args, **kwargs)
        if casts.grad_output is None:
            return output
        if not isinstance(output, Tensor):
            raise InputError(f"{name} returns {type(output).__name__}, not a tensor to cast")
        return quantize_backward(output, casts.grad_output)

    return cast_forward


def _cast_first(
    args: tuple[Any, ...], kwargs: dict[str, Any], casts: Casts
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Cast the layer's input: its first argument, by place or by name."""
    assert casts.input is not None
    if args:
        return (quantize_forward(args[0], casts.input), *args[1:]), kwargs
    first, *rest = kwargs.items()
    return (), {first[0]: quantize_forward(first[1], casts.input), **dict(rest)}


def _shadow(module: nn.Module, name: str, value: Any) -> Callable[[], None]:
    """Let an attribute of the instance hide the parameter or method; the result undoes it.

    Python looks into an instance before `nn.Module` looks up its parameters, so these stay as
    they are.
    """
    instance = module.__dict__
    before = instance.get(name)
    was_there = name in instance
    instance[name] = value

    def undo() -> None:
        if was_there:
            instance[name] = before
        else:
            del instance[name]

    return undo
