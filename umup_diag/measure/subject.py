"""The thing under test: any module or object that offers `build(width)`."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus
from umup_diag.scaling import optimizers

Build = Callable[[int], nn.Module]


def next_token_loss(model: nn.Module, batch: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each token of a (B, T + 1) batch, given those before it.

    The model takes (B, T) tokens and returns (B, T, V) logits: as a tensor, as the first of a
    tuple, or as ``.logits``.
    """
    out = model(batch[:, :-1])
    logits: Tensor = out[0] if isinstance(out, tuple | list) else getattr(out, "logits", out)
    return F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and what it takes to train it for a few steps.

    A module (or object) becomes a subject by offering `build`; the other names are optional.

    Attributes:
        name: the import path it was loaded from.
        build: ``build(width) -> nn.Module``, freshly initialised.
        loss: ``loss(model, batch) -> Tensor``, a scalar.
        batches: ``batches(*, batch_size, seq_len, seed)``, an iterable of batches; None for text
            read as bytes.
        parameter_groups: ``parameter_groups(model, *, optimizer, lr)``, groups for an optimizer of
            that name; None for one group. It gets ``weight_decay`` besides, where that is asked
            for.
        optimizer: ``optimizer(model) -> torch.optim.Optimizer``, the default optimizer; None for
            Adam.
        learning_rates: optimizer name → default learning rate.
        target: the scheme whose slopes the model is held to.
    """

    name: str
    build: Build
    loss: Callable[[Any, Any], Tensor] = next_token_loss
    batches: Callable[..., Iterable[Any]] | None = None
    parameter_groups: Callable[..., list[dict[str, Any]]] | None = None
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    target: str = "mup"

    @classmethod
    def load(cls, path: str, *, build: Mapping[str, Any] | None = None) -> "Subject":
        """Import ``pkg.mod`` or ``pkg.mod:attribute``; the working directory counts as on the path.

        Args:
            path: what to import.
            build: keyword arguments that `build` gets besides the width.

        Raises:
            InputError: if there is no such module or attribute, if importing it fails, or if it
                offers no `build`.
        """
        module_name, _, attribute = path.partition(":")
        source: Any = _import(module_name)
        if attribute:
            if not hasattr(source, attribute):
                raise InputError(
                    f"--model {path}: {module_name} has no attribute {attribute!r}."
                    + _offers(source, module_name)
                )
            source = getattr(source, attribute)
        if not callable(getattr(source, "build", None)):
            raise InputError(
                f"--model {path}: {path} offers no build(width) -> nn.Module."
                + (_offers(source, module_name) if not attribute else "")
            )
        names = ("loss", "batches", "parameter_groups", "optimizer", "learning_rates", "target")
        offered = {name: getattr(source, name) for name in names if hasattr(source, name)}
        return cls(name=path, build=partial(source.build, **(build or {})), **offered)

    def model(self, width: int) -> nn.Module:
        """Build at one width.

        Raises:
            InputError: if `build` raises, or returns something that is not a module or that has
                nothing to train.
        """
        try:
            model = self.build(width)
        except Exception as error:  # the user's code: anything may come out of it
            raise InputError(
                f"--model {self.name}: build({width}) raised {type(error).__name__}: {error}"
            ) from error
        if not isinstance(model, nn.Module):
            raise InputError(
                f"--model {self.name}: build({width}) returned {type(model).__name__}, not an "
                "nn.Module."
            )
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(f"--model {self.name}: build({width}) has no trainable parameter.")
        return model

    def batch(self, corpus: Corpus, *, batch_size: int, seq_len: int, seed: int) -> Any:
        """The first batch for a seed.

        Raises:
            InputError: if there is none.
        """
        source = self.batches or corpus.batches
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

    def groups(
        self, model: nn.Module, *, optimizer: str, lr: float, weight_decay: float | None = None
    ) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer of that name.

        Raises:
            InputError: for a weight decay that the optimizer or the subject's groups do not know.
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
            return self.parameter_groups(model, optimizer=optimizer, lr=lr, **decay)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [{"params": parameters, "lr": lr, **decay}]


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise InputError(
                f"--model {name}: there is no module {error.name!r} here or on the Python path."
            ) from None
        raise InputError(f"--model {name}: importing it failed: {error}") from error
    except Exception as error:  # the user's code: anything may come out of it
        raise InputError(
            f"--model {name}: importing it raised {type(error).__name__}: {error}"
        ) from error


def _offers(source: Any, module_name: str) -> str:
    names = [
        name for name in dir(source) if callable(getattr(getattr(source, name), "build", None))
    ]
    return f"\nIt has {', '.join(f'{module_name}:{name}' for name in names)}." if names else ""
