"""What a check is, and how one is run."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from umup_diag.measure.workplace import Workplace
from umup_diag.report.claim import claimed
from umup_diag.settings.option import Settings

if TYPE_CHECKING:
    from umup_diag.checks.result import Result
    from umup_diag.recording import Recording
    from umup_diag.report.view import View

__all__ = ["Check", "Lazy", "Workplace", "run"]

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Lazy:
    """A function or value by its address, imported when it is used: checks load torch, tables not.

    Attributes:
        address: ``package.module:name``.
    """

    address: str

    def get(self) -> Any:
        """Import it."""
        module, _, name = self.address.partition(":")
        return getattr(import_module(module), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import it and call it."""
        return self.get()(*args, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[S]):
    """A check as one value.

    Attributes:
        name: of the command, and ``check = "…"`` in a plan.
        help: of the command; its first line is a sentence.
        settings: of the command.
        measure: fills a recording; raises InputError for what cannot be measured.
        judge: the result of a recording, a pure function.
        view: how a result is shown.
        kinds: that its findings can have, to group them before there are any.
        planned: settings of a plan, where they are not those of the command.
        resolve: fills in what the settings leave open and only the subject knows.
        is_resumable: whether `measure` can go on with an unfinished recording.
        all_help: what ``--all`` lists; None for a check that has no such option.
    """

    name: str
    help: str
    settings: type[S]
    measure: "Callable[[S, Workplace], Recording]"
    judge: "Callable[[Recording, S], Result]"
    view: "Callable[[], View]"
    kinds: tuple[str, ...]
    planned: type[S] | None = None
    resolve: Callable[[S], S] = lambda settings: settings
    is_resumable: bool = False
    all_help: str | None = None

    @property
    def plan_settings(self) -> type[S]:
        """The settings that a plan of this check has."""
        return self.planned or self.settings


def run(check: Check[S], settings: S, workplace: Workplace) -> "Result":
    """Measure, judge, and leave the report in the workplace's folder.

    Raises:
        InputError: for bad settings, or what cannot be measured.
    """
    settings.precheck()
    with claimed(workplace.out):
        from umup_diag.report import folder  # takes a while, and bad input needs none of it

        resolved = check.resolve(settings)
        view = check.view()
        folder.clear(workplace.out, view)
        result = check.judge(check.measure(resolved, workplace), resolved)
        folder.write(result, view, workplace.out)
    return result
