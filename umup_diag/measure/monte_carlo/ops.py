"""Draw from any callable with autograd, and load one by its import path."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from umup_diag.errors import InputError
from umup_diag.measure.monte_carlo.estimate import MeanSquares, draw_seed
from umup_diag.measure.users_code import calling, import_module
from umup_diag.recording.frame import Point, describe_point

OpFunction = Callable[..., Any]
Shape = tuple[int, ...]
# One draw of an op whose shape is free: enough elements that one draw is worth its call, with a
# last dimension of ordinary width for ops that mix along it.
DRAW_SHAPE: Shape = (64, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutogradSampler:
    """Sampler for any callable: calls it, and back-propagates a unit-normal grad-output.

    Attributes:
        function: takes the inputs by position and the point's parameters by keyword.
        name: the op's, or its import path.
        inputs: the inputs' names, in order.
        shapes: the shape of each input at a point.
        gradients: inputs whose gradients are measured.
        centred: also measure the output's standard deviation, as ``output (std)``.
    """

    function: OpFunction
    name: str
    inputs: tuple[str, ...]
    shapes: Callable[[Point], tuple[Shape, ...]]
    gradients: tuple[str, ...]
    centred: bool = False

    @property
    def quantities(self) -> tuple[str, ...]:
        """The output, its standard deviation when asked for, and each input's gradient."""
        gradients = (f"gradient of {name}" for name in self.gradients)
        return ("output", *(["output (std)"] if self.centred else []), *gradients)

    def draw(self, point: Point, seeds: Sequence[int], device: torch.device) -> MeanSquares:
        """Mean squares, shape (draws, quantities), one call of the op per draw."""
        return np.array([self._draw_one(point, seed, device) for seed in seeds])

    def call(
        self, point: Point, seed: int, device: torch.device
    ) -> tuple[list[Tensor], Tensor, torch.Generator]:
        """Call the op on fresh inputs: (inputs, output, the generator to draw on from).

        Randomness inside the op (dropout) follows ``seed`` too.

        Raises:
            InputError: if the op raises, or returns something else than one tensor of real numbers.
        """
        generator = torch.Generator().manual_seed(seed)
        inputs = [
            torch.randn(shape, generator=generator).to(device).requires_grad_()
            for shape in self.shapes(point)
        ]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            tensors = f"{len(inputs)} tensors of shape {tuple(inputs[0].shape)}"
            with calling(f"{self.name} of {tensors} at {describe_point(point)}"):
                output = self.function(*inputs, **point)
        if not isinstance(output, Tensor) or output.is_complex() or output.numel() == 0:
            kind = (
                f"a {output.dtype} tensor of shape {tuple(output.shape)}"
                if isinstance(output, Tensor)
                else type(output).__name__
            )
            raise InputError(f"{self.name} must return one tensor of real numbers, not {kind}.")
        return inputs, output, generator

    def _draw_one(self, point: Point, seed: int, device: torch.device) -> list[float]:
        inputs, output, generator = self.call(point, seed, device)
        values = output.detach().double()
        row = [float(values.square().mean())]
        if self.centred:
            row.append(float(values.var()))
        if self.gradients:
            grad_output = torch.randn(output.shape, generator=generator).to(output)
            wanted = [inputs[self.inputs.index(name)] for name in self.gradients]
            with calling(f"the backward pass of {self.name} at {describe_point(point)}"):
                gradients = torch.autograd.grad(output, wanted, grad_output)
            row += [float(gradient.double().square().mean()) for gradient in gradients]
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a first look at an op says, before it is measured.

    Attributes:
        differentiable: the inputs that a gradient reaches.
        ignored: the parameters that change no bit of the output.
    """

    differentiable: tuple[str, ...]
    ignored: tuple[str, ...]


def probe(sampler: AutogradSampler, grid: Sequence[Point], *, seed: int = 0) -> Probe:
    """Call an op a few times on the same inputs: which inputs and parameters does it depend on?

    Raises:
        InputError: if it cannot be called.
    """
    device = torch.device("cpu")
    first = grid[0]
    key = draw_seed(seed, {}, 0)
    inputs, output, _ = sampler.call(first, key, device)
    reached: tuple[Tensor | None, ...] = (None,) * len(inputs)
    if output.requires_grad:
        reached = torch.autograd.grad(output, inputs, torch.ones_like(output), allow_unused=True)
    ignored = []
    for name in first:
        others = {point[name] for point in grid} - {first[name]}
        outputs = [sampler.call({**first, name: value}, key, device)[1] for value in others]
        if others and all(torch.equal(output, other) for other in outputs):
            ignored.append(name)
    return Probe(
        differentiable=tuple(
            name for name, g in zip(sampler.inputs, reached, strict=True) if g is not None
        ),
        ignored=tuple(ignored),
    )


def load_function(path: str) -> OpFunction:
    """Import ``pkg.mod:function``, looking in the current directory first.

    Raises:
        InputError: if there is no such module, or no such callable in it.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise InputError(f"{path!r} is not an op: give a built-in name or pkg.mod:function.")
    module = import_module(module_name, path)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise InputError(f"{module_name!r} has no function {attribute!r}.")
    return function  # type: ignore[no-any-return]


def user_sampler(
    path: str, *, inputs: int, grid: Sequence[Point], shape: Shape = DRAW_SHAPE, seed: int = 0
) -> tuple[AutogradSampler, Probe]:
    """Load a user's op and look at it once.

    Args:
        path: ``pkg.mod:function``.
        inputs: how many tensors it takes by position.
        grid: the points it will be measured at; their parameters are passed by keyword.
        shape: the shape of every input.
        seed: the run's seed.

    Raises:
        InputError: if it cannot be imported, or does not take these inputs and parameters.
    """
    function = load_function(path)
    parameters = dict(grid[0])
    names = _input_names(function, path, inputs, parameters)
    sampler = AutogradSampler(
        function=function, name=path, inputs=names, shapes=lambda _: (shape,) * inputs, gradients=()
    )
    found = probe(sampler, grid, seed=seed)
    return replace(sampler, gradients=found.differentiable), found


def _input_names(
    function: OpFunction, path: str, inputs: int, parameters: Point
) -> tuple[str, ...]:
    default = tuple(f"input{i}" for i in range(1, inputs + 1))
    try:
        signature = inspect.signature(function)
    except ValueError:  # A built-in without a signature: the call itself will tell.
        return default
    try:
        bound = signature.bind(*default, **parameters)
    except TypeError as error:
        raise InputError(
            f"{path}{signature} cannot be called with {inputs} input(s) and "
            f"{', '.join(parameters) or 'no parameters'}: {error}.\n"
            "--inputs says how many tensors it takes, --over NAME=A..B names its parameters."
        ) from error
    names = {value: name for name, value in bound.arguments.items() if isinstance(value, str)}
    return tuple(names.get(marker, marker) for marker in default)
