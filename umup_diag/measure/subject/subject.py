"""A model and what it takes to train it for a few steps."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.subject.default_loss import default_loss
from umup_diag.measure.subject.source import Source
from umup_diag.measure.subject.width_argument import Build
from umup_diag.measure.users_code import calling
from umup_diag.scaling import optimizers

#: What a module may offer beside its model, and what each must be.
_OFFERS: Mapping[str, Callable[[Any], bool]] = {
    "loss": callable,
    "batches": callable,
    "parameter_groups": callable,
    "optimizer": callable,
    "step": callable,
    "learning_rates": lambda value: isinstance(value, Mapping),
    "target": lambda value: isinstance(value, str),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and what it takes to train it for a few steps.

    A module (or object) becomes a subject by offering `build`; the other names are optional.

    Attributes:
        name: the import path it was loaded from.
        build: ``build(width) -> nn.Module``, freshly initialised; what else a model is scaled by
            is an argument by name.
        loss: ``loss(model, batch) -> Tensor``, a scalar.
        batches: ``batches(*, batch_size, seq_len, seed)``, an iterable of batches; None for text
            read as bytes.
        parameter_groups: ``parameter_groups(model, *, optimizer, lr)``, groups for an optimizer of
            that name; None for one group. It gets ``weight_decay`` besides, where that is asked
            for.
        optimizer: ``optimizer(model) -> torch.optim.Optimizer``, the default optimizer; None for
            Adam.
        step: ``step(model, batch, optimizer)``, one update from forward pass to optimizer, for
            what `loss` and `optimizer` leave no room for: clipping, accumulation, a gradient
            scaler. None for backward pass and step.
        learning_rates: optimizer name → default learning rate.
        target: the scheme whose slopes the model is held to.
        filled_in: what was filled in to build it, in words; empty if nothing was.
    """

    name: str
    build: Build
    loss: Callable[[Any, Any], Tensor] = default_loss
    batches: Callable[..., Iterable[Any]] | None = None
    parameter_groups: Callable[..., list[dict[str, Any]]] | None = None
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None
    step: Callable[[Any, Any, Any], Any] | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    target: str = "mup"
    filled_in: str = ""

    @classmethod
    def load(cls, path: str, *, build: Mapping[str, Any] | None = None) -> "Subject":
        """Find what ``--model`` names, with what is offered beside it.

        Args:
            path: ``pkg.mod``, ``pkg.mod:attribute``, ``file.py`` or ``file.py:attribute``: what
                offers `build`, or a module's class, a factory, or a Hugging Face configuration or
                model class.
            build: keyword arguments that `build` gets besides the width.

        Raises:
            InputError: if there is no such thing, if importing it fails, or if it builds nothing;
                if what is offered beside it is not what it should be.
        """
        source = Source.find(path, build or {})
        offered = {
            name: getattr(source.holder, name) for name in _OFFERS if _offers(source.holder, name)
        }
        for name, value in offered.items():
            if not _OFFERS[name](value):
                raise InputError(
                    f"--model {path}: its {name} is a {type(value).__name__}, which it cannot be."
                )
        return cls(name=path, build=source.build, filled_in=source.filled_in, **offered)

    def model(self, width: int, **sizes: int) -> nn.Module:
        """Build at one width, and at a size along every other axis that is varied.

        Raises:
            InputError: if `build` raises, takes no such size, or returns something that is not a
                module or that has nothing to train.
        """
        self._require_axes(sizes)
        call = ", ".join(["build(" + str(width), *(f"{k}={v}" for k, v in sizes.items())]) + ")"
        with calling(f"--model {self.name}: {call}"):
            model = self.build(width, **sizes)
        if not isinstance(model, nn.Module):
            raise InputError(
                f"--model {self.name}: {call} returned {type(model).__name__}, not an nn.Module."
            )
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(f"--model {self.name}: {call} has no trainable parameter.")
        return model

    def _require_axes(self, sizes: Mapping[str, int]) -> None:
        """Refuse an axis that `build` does not know, before it is called."""
        if not sizes:
            return
        try:
            takes = signature(self.build).parameters.values()
        except (TypeError, ValueError):  # written in C
            return
        if any(each.kind is each.VAR_KEYWORD for each in takes):
            return
        by_name = {each.name for each in takes if each.kind is not each.POSITIONAL_ONLY}
        for name in sizes:
            if name not in by_name:
                raise InputError(
                    f"--model {self.name}: its build takes no {name}.\n"
                    f"Let it be build(width, {name}=…), or name what it does take by --axis."
                )

    def batch(self, corpus: Corpus, *, batch_size: int, seq_len: int, seed: int) -> Any:
        """The first batch for a seed.

        Raises:
            InputError: if there is none.
        """
        source = self.batches or corpus.batches
        with calling(f"--model {self.name}: batches(...)"):
            for batch in source(batch_size=batch_size, seq_len=seq_len, seed=seed):
                return batch
        raise InputError(f"--model {self.name}: batches(...) gave no batch.")

    def choose_optimizer(
        self, name: str | None, lr: float | None, weight_decay: float | None = None
    ) -> tuple[str | None, float | None]:
        """An optimizer's name and learning rate, with defaults for what is None.

        Returns:
            None and None for the subject's own optimizer, which sets its own rate.

        Raises:
            InputError: for an unknown optimizer, or for a learning rate or a weight decay for the
                subject's own.
        """
        if name is None and self.optimizer is not None:
            for flag, given in (("--lr", lr), ("--weight-decay", weight_decay)):
                if given is not None:
                    raise InputError(
                        f"{flag} needs --optimizer: {self.name} brings its own optimizer(model), "
                        "which sets its own."
                    )
            return None, None
        name = "adam" if name is None else name
        default = self.learning_rates.get(name, optimizers.get(name).default_lr)
        return name, default if lr is None else lr

    def own_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer that the subject brings.

        Raises:
            InputError: if making it raises.
        """
        assert self.optimizer is not None
        with calling(f"--model {self.name}: optimizer(model)"):
            return self.optimizer(model)

    def groups(
        self, model: nn.Module, *, optimizer: str, lr: float, weight_decay: float | None = None
    ) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer of that name.

        Raises:
            InputError: for a weight decay that the optimizer or the subject's groups do not know;
                for what are no groups.
        """
        decay = {} if weight_decay is None else {"weight_decay": weight_decay}
        if decay and not optimizers.get(optimizer).decays:
            raise InputError(
                f"--weight-decay: {optimizer} adds it to the gradient and rescales it with it; use "
                "--optimizer adamw."
            )
        if self.parameter_groups is not None:
            takes = signature(self.parameter_groups).parameters
            takes_any = any(each.kind is each.VAR_KEYWORD for each in takes.values())
            if decay and "weight_decay" not in takes and not takes_any:
                raise InputError(
                    f"--weight-decay: parameter_groups(...) of {self.name} takes no weight_decay."
                )
            with calling(f"--model {self.name}: parameter_groups(model, ...)"):
                found = self.parameter_groups(model, optimizer=optimizer, lr=lr, **decay)
            with self._groups_of(optimizer):
                return [{**group, "params": _as_list(group["params"])} for group in found]
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [{"params": parameters, "lr": lr, **decay}]

    def named_optimizer(self, name: str, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer of that name over some groups.

        Raises:
            InputError: if torch does not take them.
        """
        with self._groups_of(name):
            return optimizers.get(name).build(groups)

    @contextmanager
    def _groups_of(self, optimizer: str) -> Iterator[None]:
        """Say whose groups they are that cannot be read, or that torch refuses."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"--model {self.name}: parameter_groups(...) gave no groups of {optimizer}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _as_list(parameters: Any) -> list[Tensor]:
    """As torch takes them: one, or several."""
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _offers(holder: Any, name: str) -> bool:
    """Whether it is there, and no module of that name that a package happens to have."""
    offered = getattr(holder, name, None)
    return offered is not None and not isinstance(offered, ModuleType)
