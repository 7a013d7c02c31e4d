"""The loss of a model that brings none, by the shape of its batch and of what it returns.

| batch | loss |
|---|---|
| (B, T + 1) integer tokens | next-token cross-entropy |
| a mapping with labels | the model's own ``.loss``; without one, its first output against them |
| a mapping of ``input_ids`` without | next-token cross-entropy |
| a sequence (x, …, y) | the first output of model(x, …) against y |

Against integer targets it is cross-entropy, against floating-point ones the mean squared error.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from umup_diag.errors import InputError

#: Names of a mapping's entry that is the target, the first that is there.
LABELS = ("labels", "label", "targets", "target", "y")
_OUTPUTS = ("logits", "prediction_logits", "last_hidden_state")
_OWN = "give loss(model, batch) in your model's module"


def next_token_loss(model: Any, batch: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each token of a (B, T + 1) batch, given those before it.

    Args:
        model: takes (B, T) tokens and returns (B, T, V) logits, in any form that `first_output`
            reads.
        batch: tokens.
    """
    logits = first_output(model(batch[:, :-1]))
    return F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())


def default_loss(model: Any, batch: Any) -> Tensor:
    """The loss that a batch's shape asks for: see the table of this module.

    Raises:
        InputError: for a batch or an output that says nothing about its loss.
    """
    if isinstance(batch, Tensor):
        if batch.is_floating_point() or batch.dim() != 2:
            kind = f"{str(batch.dtype).removeprefix('torch.')} of shape {tuple(batch.shape)}"
            raise InputError(
                f"a batch that is one tensor must be (B, T + 1) integer tokens, not {kind}; "
                f"give (input, target), or {_OWN}."
            )
        return next_token_loss(model, batch)
    if isinstance(batch, Mapping):
        return _of_mapping(model, batch)
    if isinstance(batch, Sequence) and len(batch) > 1:
        *inputs, target = batch
        return against(first_output(model(*inputs)), target)
    raise InputError(f"no loss is known for a batch that is a {type(batch).__name__}; {_OWN}.")


def own_loss(out: Any) -> Tensor | None:
    """The loss that a model's output carries, as ``.loss`` or under that key; None without."""
    loss = out.get("loss") if isinstance(out, Mapping) else getattr(out, "loss", None)
    return loss if isinstance(loss, Tensor) else None


def first_output(out: Any) -> Tensor:
    """What a model predicts: its output, the first of a sequence, or its logits.

    Raises:
        InputError: if there is none.
    """
    if isinstance(out, Tensor):
        return out
    for name in _OUTPUTS:
        found = out.get(name) if isinstance(out, Mapping) else getattr(out, name, None)
        if isinstance(found, Tensor):
            return found
    values = out.values() if isinstance(out, Mapping) else out
    if isinstance(values, Sequence) or isinstance(out, Mapping):
        for value in values:
            if isinstance(value, Tensor):
                return value
    raise InputError(f"the model returned {type(out).__name__}, without logits; {_OWN}.")


def against(prediction: Tensor, target: Any) -> Tensor:
    """Cross-entropy of logits (…, C) for integer targets (…), mean squared error for others.

    Raises:
        InputError: if the shapes do not fit.
    """
    if not isinstance(target, Tensor):
        raise InputError(f"the batch's target is a {type(target).__name__}, no tensor; {_OWN}.")
    if not target.is_floating_point() and prediction.shape[:-1] == target.shape:
        return F.cross_entropy(prediction.flatten(0, -2).float(), target.flatten().long())
    if target.is_floating_point() and prediction.numel() == target.numel():
        return F.mse_loss(prediction.float().flatten(), target.float().flatten())
    raise InputError(
        f"the model's output {tuple(prediction.shape)} fits no target "
        f"{str(target.dtype).removeprefix('torch.')} {tuple(target.shape)}; {_OWN}."
    )


def _of_mapping(model: Any, batch: Mapping[str, Any]) -> Tensor:
    label = next((name for name in LABELS if name in batch), None)
    takes = _takes(model)
    if label is None or takes is None or label in takes:
        out = model(**batch)
        if (loss := own_loss(out)) is not None:
            return loss
    else:
        out = model(**{name: value for name, value in batch.items() if name != label})
    if label is not None:
        return against(first_output(out), batch[label])
    tokens = batch.get("input_ids")
    if isinstance(tokens, Tensor):
        logits = first_output(out)[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
    raise InputError(f"the batch has no {' or '.join(LABELS)} among {', '.join(batch)}; {_OWN}.")


def _takes(model: Any) -> set[str] | None:
    """The names of what a model's forward takes; None if it takes any."""
    parameters = inspect.signature(getattr(model, "forward", model)).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return None
    return set(parameters)
