"""The losses of one training run, and what they come to."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite
from pathlib import Path
from statistics import fmean

import torch
from torch.optim.lr_scheduler import LambdaLR

from umup_diag.measure import environment
from umup_diag.measure.data.batches import Batches
from umup_diag.measure.data.corpus import Corpus
from umup_diag.measure.long_run import build_optimizer, rate
from umup_diag.measure.subject import Subject
from umup_diag.measure.training import scalar_loss
from umup_diag.measure.users_code import calling
from umup_diag.numerics.simulate import simulate_fp8
from umup_diag.settings.shared import TrainingRunSettings

FINAL_SHARE = 0.2  #: of the updates: their mean loss is the run's; by then the rate has decayed
EIGHTH = 8  #: a run is looked at after every eighth of its updates


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveTask:
    """A run to do.

    Attributes:
        name: of the run, for messages.
        settings: of the run.
        bound: loss that it must have come below by half of its updates, or it is given up: what a
            good run of the same size had after an eighth.
    """

    name: str
    settings: TrainingRunSettings
    bound: float = inf


def loss_curve(task: CurveTask) -> tuple[float, ...]:
    """Train, and give the loss of every update's batch, before the update.

    It ends early where there is nothing to hope for (`is_hopeless`), so a curve shorter than the
    updates asked for is of a run that was given up.

    Raises:
        InputError: if the subject or its text cannot be loaded, built or trained.
    """
    settings = task.settings
    device = environment.device(settings.device)
    subject = Subject.load(settings.model, build=settings.build)
    torch.manual_seed(settings.seed)
    model = subject.model(settings.width).to(device)
    optimizer = build_optimizer(settings, subject, model)
    schedule = LambdaLR(optimizer, lambda step: rate(settings, step))
    batches = Batches(
        subject=subject,
        corpus=_corpus(settings.text),
        batch_size=settings.batch_size,
        seq_len=settings.seq_len,
        seed=settings.seed,
    )
    losses: list[float] = []
    with ExitStack() as stack:
        if settings.fp8:
            stack.enter_context(simulate_fp8(model, settings.fp8))
        for batch in batches.take(settings.steps, device):
            loss = scalar_loss(subject, model, batch)
            losses.append(loss.item())
            if is_hopeless(losses, settings.steps, task.bound):
                break
            with calling(f"--model {subject.name}: the backward pass"):
                loss.backward()
            with calling(f"--model {subject.name}: optimizer.step()"):
                optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
    return tuple(losses)


def is_hopeless(losses: list[float], steps: int, bound: float) -> bool:
    """Whether a run under way need not go on.

    Its loss is not finite; or, after a quarter of its updates or later, it has learnt nothing: it
    is where it began; or, after half of them or later, it is not where a good run was after an
    eighth. A rate that is too low does less in the second half of a decaying schedule than in the
    first; one that is too high can still come down, but not past a run that led by so much.
    """
    done = len(losses)
    if not isfinite(losses[-1]):
        return True
    eighth = -(-done * EIGHTH // steps)  # the one that ends here, or the next to end
    if done != steps * eighth // EIGHTH or done == steps:
        return False
    recent = at_eighth(losses, steps, eighth)
    if eighth >= 2 and done > 1 and recent >= losses[0]:
        return True
    return eighth >= 4 and recent > bound


def at_eighth(losses: list[float] | tuple[float, ...], steps: int, eighth: int) -> float:
    """The mean loss over the last sixteenth of a run's updates, after so many eighths of them."""
    done = steps * eighth // EIGHTH
    return fmean(losses[max(0, done - max(1, steps // (2 * EIGHTH))) : done])


def final_loss(losses: tuple[float, ...], steps: int) -> float:
    """What a run came to: the mean over its last updates; infinite for one that was given up."""
    if len(losses) < steps or not isfinite(losses[-1]):
        return inf
    return fmean(losses[-_final(steps) :])


def final_error(losses: tuple[float, ...], steps: int) -> float:
    """Standard error of `final_loss` from the run alone: of the means of eight blocks.

    Blocks, because neighbouring losses are alike. Runs that see the same batches share most of it.
    """
    last = torch.tensor(losses[-_final(steps) :], dtype=torch.float64)
    blocks = torch.stack([each.mean() for each in last.tensor_split(min(8, len(last)))])
    return float(blocks.std() / len(blocks) ** 0.5) if len(blocks) > 1 else inf


def _final(steps: int) -> int:
    return max(1, round(FINAL_SHARE * steps))


@lru_cache(maxsize=4)
def _corpus(path: Path | None) -> Corpus:
    """Read once a process."""
    return Corpus.load(path)
