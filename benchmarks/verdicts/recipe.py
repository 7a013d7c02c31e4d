"""A model family with its µP rules, and how a case departs from them: all as data.

A family is plain code (`Family.network`) that knows nothing of µP but a few multipliers of 1. A
`Recipe` gives each parameter the init, multiplier and learning rate that a table of `rules` says,
then applies edits: a power of width on one thing at one place. A fault is an edit; so is a rewrite.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from benchmarks.verdicts.optimizers import OPTIMIZERS, Groups, OptimizerChoice
from benchmarks.verdicts.rules import TABLE_8, Powers, Role, Table, role
from umup_diag.measure.subject import Subject

Layout = tuple[int, tuple[int, ...]]  #: the dimension of outputs, those of inputs
Place = tuple[str, str]  #: a module and an attribute of it


def next_byte_loss(model: Any, batch: Tensor) -> Tensor:
    """Mean cross-entropy of each next byte, of logits times ``loss_multiplier``."""
    out = model(batch[:, :-1])
    logits = getattr(out, "logits", out) * model.loss_multiplier
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def classification_loss(model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of the classes."""
    x, classes = batch
    return nn.functional.cross_entropy(model(x) * model.loss_multiplier, classes)


def squared_error(model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean square of what the prediction lacks."""
    x, y = batch
    result: Tensor = (model(x) * model.loss_multiplier - y).square().mean()
    return result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """A kind of model, and what of it the rules cannot read off its shapes.

    Attributes:
        name: in the names of cases.
        network: width → model; its init is replaced, but for gains and for what does not grow.
        loss: of a model and a batch.
        batches: where a batch comes from; None for text.
        widths: that its cases are judged at.
        base: the width where every table gives the same model.
        sizes: tensor pattern → initial size relative to 1/√fan-in (1 for embeddings); default 1.
        layout: tensor pattern → which dimension is out and which are in, where it is no layer's.
        places: layer → where its multiplier is, if not in the layer's own ``multiplier``.
        frozen: tensor patterns that are not trained.
        rates: optimizer → factor on its learning rates.
        expected: tensor pattern → (lowest, highest) slope of its loss change, where it is not flat.
        why: the reason for those.
    """

    name: str
    network: Callable[[int], nn.Module]
    loss: Callable[[Any, Any], Tensor] = next_byte_loss
    batches: Callable[..., Iterable[Any]] | None = None
    widths: tuple[int, ...] = (128, 256, 512)
    base: int = 128
    sizes: Mapping[str, float] = field(default_factory=dict)
    layout: Mapping[str, Layout] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A power of width on one thing: a fault, or one step of a rewrite.

    Attributes:
        where: patterns of tensor names for ``init``, ``lr``, ``weight_decay``, ``eps`` and
            ``gradient``; of module names for anything else, which is an attribute of theirs.
        what: see `where`.
        power: of width over the base width.
        factor: a constant besides.
    """

    where: tuple[str, ...]
    what: str
    power: float
    factor: float = 1.0

    def at(self, ratio: float) -> float:
        """What to multiply by at a width `ratio` times the base."""
        return float(self.factor * ratio**self.power)


def edit(where: str | tuple[str, ...], what: str, power: float, *, factor: float = 1.0) -> Edit:
    """Short for `Edit`."""
    where = (where,) if isinstance(where, str) else where
    return Edit(where=where, what=what, power=power, factor=factor)


#: What an edit can name that belongs to a tensor and not to a module.
OF_TENSORS = frozenset({"init", "lr", "weight_decay", "eps", "gradient"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a rule needs to know of a parameter.

    Attributes:
        tensor: its name as umup-diag writes it: a layer's weight goes by the layer.
        role: in the limit of width.
        fan_in: at the base width; 1 for embeddings and vectors.
        grows: whether each dimension does.
    """

    tensor: str
    role: Role
    fan_in: int
    stacked: bool


def named_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Each parameter once: its tensor name, the module that holds it, and itself."""
    for name, parameter in model.named_parameters():
        path, _, short = name.rpartition(".")
        is_layer = short == "weight" and parameter.dim() >= 2 and path
        yield path if is_layer else name, model.get_submodule(path), parameter


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@cache
def parameters(family: Family) -> Mapping[str, Parameter]:
    """Roles and fans by tensor name, from the shapes at two widths."""
    with torch.random.fork_rng([]), torch.device("meta"):
        narrow, wide = family.network(family.base), family.network(2 * family.base)
    found = {}
    for (tensor, owner, parameter), wider in zip(
        named_parameters(narrow), wide.parameters(), strict=True
    ):
        shape = tuple(parameter.shape)
        out, into = _layout(family, tensor, owner, parameter)
        embedding = isinstance(owner, nn.Embedding)
        grows = tuple(a != b for a, b in zip(shape, wider.shape, strict=True))
        fan_in = 1
        for dim in () if embedding else into:
            fan_in *= shape[dim]
        found[tensor] = Parameter(
            tensor=tensor,
            role=role(grows, out=out, into=into),
            fan_in=fan_in,
            stacked=out > 0 and len(shape) == 3,
        )
    return found


def _layout(family: Family, tensor: str, owner: nn.Module, parameter: nn.Parameter) -> Layout:
    for pattern, layout in family.layout.items():
        if fnmatchcase(tensor, pattern):
            return layout
    if parameter.dim() < 2:
        return 0, ()
    if isinstance(owner, nn.Embedding):
        return 1, (0,)
    if isinstance(owner, nn.Linear | nn.modules.conv._ConvNd):
        return 0, tuple(range(1, parameter.dim()))
    raise ValueError(f"{family.name}: the layout of {tensor} is not given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A family under one optimizer and one table, with edits: everything that a subject needs.

    Attributes:
        family: the model.
        optimizer: a name of `OPTIMIZERS`.
        table: of µP's rules.
        places: overrides the family's.
        edits: after the rules.
        zero: tensor patterns initialised to zero.
        eps: Adam's, at the base width.
        weight_decay: λ at the base width; None for the optimizer's usual.
        clip: the gradient norm at which to clip; None for no clipping. Only for own optimizers.
        target: the scheme to be held to.
    """

    family: Family
    optimizer: str = "adam"
    table: Table = field(default_factory=lambda: TABLE_8)
    places: Mapping[str, Place] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    zero: tuple[str, ...] = ()
    eps: float = 1e-8
    weight_decay: float | None = None
    clip: float | None = None
    target: str = "mup"

    @property
    def choice(self) -> OptimizerChoice:
        """What the optimizer's name stands for."""
        return OPTIMIZERS[self.optimizer]

    def build(self, width: int) -> nn.Module:
        """A model of that width, initialised."""
        ratio = width / self.family.base
        model = self.family.network(width)
        known = parameters(self.family)
        for tensor, _, parameter in named_parameters(model):
            self._initialise(tensor, parameter, known[tensor], ratio)
            self._multiply(model, known[tensor], ratio)
        for change in self.edits:
            self._apply(change, model, ratio)
        return model

    def groups(self, model: nn.Module) -> Groups:
        """One parameter a group, with the rate, decay and ε that the rules and edits give it."""
        width = model.width
        assert isinstance(width, int)
        ratio = width / self.family.base
        return [
            self._group(parameters(self.family)[tensor], parameter, ratio)
            for tensor, _, parameter in named_parameters(model)
            if parameter.requires_grad
        ]

    def train_with(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer, clipping first if asked to."""
        optimizer = self.choice.make(self.groups(model))
        if self.clip is not None:
            bound = self.clip

            def clip(*_: Any) -> None:
                clip_grad_norm_(model.parameters(), bound)

            optimizer.register_step_pre_hook(clip)
        return optimizer

    def subject(self, name: str) -> Subject:
        """As umup-diag takes it: with groups for a named optimizer, or an optimizer of its own."""
        own = self.choice.asked is None
        return Subject(
            name=name,
            build=self.build,
            loss=self.family.loss,
            batches=self.family.batches,
            parameter_groups=None if own else self._named_groups,
            optimizer=self.train_with if own else None,
            target=self.target,
        )

    def _named_groups(self, model: nn.Module, *, optimizer: str, lr: float) -> Groups:  # noqa: ARG002
        drop = {"muon", "flatten"} | ({"eps"} if optimizer == "sgd" else set())
        return [
            {key: group[key] for key in group if key not in drop} for group in self.groups(model)
        ]

    def _powers(self, parameter: Parameter) -> Powers:
        return self.table[parameter.role]

    def _initialise(
        self, tensor: str, parameter: nn.Parameter, known: Parameter, ratio: float
    ) -> None:
        if matches(tensor, self.family.frozen):
            parameter.requires_grad_(False)
        with torch.no_grad():
            if matches(tensor, self.zero) or tensor.endswith("bias"):
                parameter.zero_()
            elif known.role in (Role.INPUT, Role.HIDDEN, Role.OUTPUT):
                size = _first(self.family.sizes, tensor, 1.0) * known.fan_in**-0.5
                parameter.normal_(std=size * ratio ** self._powers(known).init)

    def _multiply(self, model: nn.Module, known: Parameter, ratio: float) -> None:
        if power := self._powers(known).multiplier:
            places = {**self.family.places, **self.places}
            path, attribute = places.get(known.tensor, (known.tensor, "multiplier"))
            _scale(model.get_submodule(path), attribute, ratio**power)

    def _apply(self, change: Edit, model: nn.Module, ratio: float) -> None:
        if change.what in OF_TENSORS:
            named = [(tensor, parameter) for tensor, _, parameter in named_parameters(model)]
            chosen = [p for tensor, p in named if matches(tensor, change.where)]
            if change.what == "init":
                with torch.no_grad():
                    for parameter in chosen:
                        parameter.mul_(change.at(ratio))
            elif change.what == "gradient":
                for parameter in chosen:
                    parameter.register_hook(_times(change.at(ratio)))
            found = bool(chosen)
        else:
            modules = [m for name, m in model.named_modules() if matches(name, change.where)]
            for module in modules:
                _scale(module, change.what, change.at(ratio))
            found = bool(modules)
        if not found:
            raise ValueError(f"{self.family.name}: there is no {change.where} to edit")

    def _group(self, known: Parameter, parameter: nn.Parameter, ratio: float) -> dict[str, Any]:
        choice, role = self.choice, known.role
        scale = ratio ** self._powers(known).lr[choice.rule(role)]
        base = choice.lr if role is Role.HIDDEN else choice.other_lr
        decay = choice.weight_decay if self.weight_decay is None else self.weight_decay
        matrix = role not in (Role.VECTOR, Role.FIXED)
        group: dict[str, Any] = {
            "params": [parameter],
            "lr": base * scale * self.family.rates.get(self.optimizer, 1.0),
            "weight_decay": decay / scale if matrix else 0.0,  # lr · λ is the same at every width
            "eps": self.eps,
            "muon": role is Role.HIDDEN and choice.matrices is not choice.others,
            "flatten": not known.stacked,
        }
        for change in self.edits:
            if change.what in group and matches(known.tensor, change.where):
                group[change.what] *= change.at(ratio)
        return group


def _first(table: Mapping[str, float], tensor: str, default: float) -> float:
    return next((value for key, value in table.items() if fnmatchcase(tensor, key)), default)


def _scale(module: nn.Module, attribute: str, by: float) -> None:
    if not isinstance(getattr(module, attribute, None), float):
        raise ValueError(f"{type(module).__name__} has no multiplier {attribute!r}")
    setattr(module, attribute, getattr(module, attribute) * by)


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * factor
