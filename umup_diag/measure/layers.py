"""Which modules are linear layers, and what their weights' fans are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from umup_diag.scaling.roles import Fans


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTensor:
    """A parameter as recordings name it: a layer's weight by the layer, others by their own name.

    Attributes:
        name: unique in the model.
        parameter: the tensor.
        fans: its fan-in and fan-out.
        owner: module that holds it.
    """

    name: str
    parameter: nn.Parameter
    fans: Fans
    owner: nn.Module


def is_layer(module: nn.Module) -> bool:
    """Whether a module is a linear map with a weight: nn.Linear, nn.Embedding, a convolution, …

    Any module with a parameter ``weight`` of two dimensions or more counts, so that subclasses and
    home-made linears do; not one that holds other modules with parameters, and so does more.
    """
    weight = module._parameters.get("weight")
    if weight is None or weight.dim() < 2:
        return False
    return not any(True for child in module.children() for _ in child.parameters())


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """The linear layers by name; a module shared under two names goes by the first."""
    return {name: module for name, module in model.named_modules() if is_layer(module)}


def fans(parameter: nn.Parameter, owner: nn.Module, *, shape: Sequence[int] | None = None) -> Fans:
    """Fan-in and fan-out of a parameter, by how its owner lays it out; of another shape if given.

    Embeddings and Hugging Face's Conv1D store (fan-in, fan-out); a bare parameter of two
    dimensions or more, such as a table of positions, is taken to as well; all others, recurrent
    layers among them, store (fan-out, fan-in, kernel…).
    """
    shape = tuple(parameter.shape if shape is None else shape)
    if len(shape) < 2:
        return Fans(fan_in=None, fan_out=prod(shape))
    is_weight = owner._parameters.get("weight") is parameter or isinstance(owner, nn.RNNBase)
    if not is_weight or isinstance(owner, nn.Embedding | nn.EmbeddingBag) or hasattr(owner, "nf"):
        return Fans(fan_in=prod(shape[:-1]), fan_out=shape[-1])
    return Fans(fan_in=prod(shape[1:]), fan_out=shape[0])


_WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.")


def plain(name: str) -> str:
    """A module's name without what compiling or checkpointing a part of the model adds to it."""
    for wrapper in _WRAPPERS:
        name = f"{name}.".replace(wrapper, "").removesuffix(".")
    return name


def tensors(model: nn.Module) -> list[NamedTensor]:
    """Every parameter once, in order of definition; a tied one goes by its first owner."""
    by_id: dict[int, NamedTensor] = {}
    for long_name, module in model.named_modules():
        module_name = plain(long_name)
        for short_name, parameter in module.named_parameters(recurse=False):
            is_layer_weight = short_name == "weight" and is_layer(module)
            full_name = f"{module_name}.{short_name}" if module_name else short_name
            named = NamedTensor(
                name=module_name if is_layer_weight and module_name else full_name,
                parameter=parameter,
                fans=fans(parameter, module),
                owner=module,
            )
            by_id.setdefault(id(parameter), named)
    return list(by_id.values())
