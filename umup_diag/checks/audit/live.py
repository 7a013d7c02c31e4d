"""``umup_diag.audit(model, optimizer)``: the audit of a live optimizer, in a user's own script."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console
from torch import Tensor, nn

from umup_diag.checks.audit import AUDIT
from umup_diag.checks.audit.judge import judge
from umup_diag.checks.audit.settings import AuditSettings
from umup_diag.checks.audit.view import table
from umup_diag.checks.result import NoteKind, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.measure.bare import bare
from umup_diag.measure.init_scales import initial_weights, one_pass
from umup_diag.measure.layers import tensors
from umup_diag.measure.mup_base import base_records
from umup_diag.measure.trained_with import Groups, trained_with
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.report.json import dumps
from umup_diag.scaling import schemes

if TYPE_CHECKING:
    import pandas as pd

_NO_BASE = (
    "No base model: powers of width are not known, so nothing is held to a scheme. Give "
    "base=(model, optimizer) of a smaller width."
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found; printed, it is the table of the command.

    Attributes:
        result: findings, notes and table.
    """

    result: Result

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        return self.result.verdict

    def frame(self) -> "pd.DataFrame":
        """A row for each parameter."""
        import pandas as pd  # takes half a second, and few ask for it

        return pd.DataFrame(self.result.table)

    def json(self) -> str:
        """As ``result.json`` of the command."""
        return dumps(self.result)

    def __str__(self) -> str:
        text = StringIO()
        Console(file=text, width=120, highlight=False).print(table(self.result, False))
        return text.getvalue()


def audit(
    model: nn.Module,
    optimizer: Any,
    *,
    base: tuple[nn.Module, Any] | None = None,
    target: str = "mup",
    groups: Groups = (),
    scheduler: Any = None,
    loss: Callable[[nn.Module], Tensor] | None = None,
    which_scheme: bool = False,
    decay_rule: str | None = None,
) -> Audit:
    """List what each parameter starts at and is trained with, and hold it to a scheme's row.

    No step is taken. Model, optimizer, scheduler, gradients and random numbers are left as they
    were. A model on the meta device will do; of its numbers only the settings are known.

    Args:
        model: also in DDP, ``torch.compile`` or ``fully_shard``.
        optimizer: one of torch's or like them, a wrapper of one, or several in a list.
        base: a model of a smaller width and its optimizer, from which powers of width come; where
            ``mup.set_base_shapes`` was called, the base that it was given is used.
        target: the scheme.
        groups: the groups as the optimizer was given them, to see whether a wrapper dropped any
            factor; rates alone are compared.
        scheduler: is stepped once, to see whether it drops any, and put back.
        loss: ``loss(model)``, a scalar; one forward and backward pass of it measures multipliers
            and gradients. Without it, a rate that differs from the row's is inconclusive.
        which_scheme: say which schemes the model is nearest to, and hold it to the nearest.
        decay_rule: what lr·λ is held to, by its name; None for the target's own rule.

    Raises:
        InputError: for an unknown scheme or rule; if the two models differ in more than width, or
            if the loss does not depend on the model.
    """
    model = bare(model)
    records = [
        *trained_with(model, optimizer, given=groups, scheduler=scheduler),
        *_numbers(model, loss),
    ]
    frames: list[list[TensorRecord]] = []
    if base is not None:
        small = bare(base[0])
        frames.append([*trained_with(small, base[1]), *_numbers(small, loss)])
    elif found := base_records(model, optimizer):
        frames.append(found)
    sizes = _widths([records, *frames])
    recording = Recording(
        command=AUDIT.name,
        settings={},
        environment={},
        notes=() if frames else [(str(NoteKind.CAUTION), _NO_BASE)],
        frames=[
            Frame(point={"width": width, "seed": 0}, step=0, records=tuple(each))
            for width, each in zip(sizes, [records, *frames], strict=True)
        ],
    )
    settings = AuditSettings(
        model=type(model).__name__,
        width=sizes[0],
        base_width=sizes[1] if frames else None,
        target=schemes.get(target).name,
        which_scheme=which_scheme,
        decay_rule=decay_rule,
    )
    return Audit(judge(recording, settings))


def _numbers(model: nn.Module, loss: Callable[[nn.Module], Tensor] | None) -> list[TensorRecord]:
    """What is known of a model that has numbers."""
    if any(each.parameter.is_meta for each in tensors(model)):
        return []
    passed = [] if loss is None else one_pass(model, partial(loss, model))
    return [*initial_weights(model), *passed]


def _widths(models: Sequence[Sequence[TensorRecord]]) -> list[int]:
    """The width of each model: the dimension that most of what grows between them has."""
    fans = [{r.tensor: r.fans for r in records if r.fans is not None} for records in models]
    grown: list[Counter[int]] = [Counter() for _ in models]
    for name in fans[0]:
        known = [each[name] for each in fans if name in each]
        sides: list[list[int | None]] = [
            [each.fan_out for each in known],
            [each.fan_in for each in known],
        ]
        for side in sides:
            if len(known) == len(models) and (len(models) == 1 or len(set(side)) > 1):
                for counter, size in zip(grown, side, strict=True):
                    if size is not None:
                        counter[size] += 1
    return [counter.most_common(1)[0][0] if counter else 1 for counter in grown]
