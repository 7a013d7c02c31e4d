"""Independent tasks on any executor: processes here, a cluster's jobs, or a user's own."""

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import torch

from umup_diag.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

MOST_JOBS = 8  #: started where nobody says how many; each loads torch, about 300 MB
_log = logging.getLogger(__name__)


class Pending(Protocol):
    """What `submit` gives: a `concurrent.futures.Future`, or a job that waits like one."""

    def result(self) -> Any:
        """Wait for what the call returned; raises if it died."""
        ...

    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        ...

    def cancel(self) -> Any:
        """Take it back, or stop it where that can be done."""
        ...


class Submits(Protocol):
    """As much of an executor as a pool needs; those of submitit, Dask and Ray have it too."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call it somewhere else; gives a `Pending`."""
        ...


@dataclass(frozen=True, slots=True)
class _Refused:
    """Bad input that a task met: an answer, not a death."""

    message: str


def _answer(work: Callable[[Any], Any], task: Any) -> Any:
    """In the worker: do it; what the user is meant to read comes back as a value."""
    try:
        return work(task)
    except InputError as error:
        return _Refused(str(error))


class _Here(Executor):
    """Calls at once, in this process."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(slots=True, kw_only=True)
class Pool:
    """Runs tasks and gives their results in the order of the tasks, whoever finishes first.

    A task that dies (its process is killed, memory runs out, a node fails) is reported as a
    warning and run once more; a second death is an error that names the task. A context manager:
    leaving it ends what the pool itself started, and leaving it by an error or Ctrl-C also takes
    back what has been submitted to somebody else's executor and has not ended.

    Attributes:
        start: gives an executor; called again where one broke.
        stop: ends an executor; told whether to wait for what is running.
        cancel: takes one submission back.
        ahead: tasks submitted before their turn; None for all.
        suspects: how many may be running when an executor breaks: each is run again, alone.
        batch: what all submissions of a `run` happen within, given the executor.
    """

    start: Callable[[], Submits]
    stop: Callable[[Any, bool], None] = lambda _executor, _wait: None
    cancel: Callable[[Any], object] = lambda pending: pending.cancel()
    ahead: int | None = None
    suspects: int = 1
    batch: Callable[[Any], AbstractContextManager[Any]] = lambda _executor: nullcontext()
    _executor: Submits | None = field(default=None, init=False)
    _submitted: list[Pending] = field(default_factory=list, init=False)

    @classmethod
    def local(cls, jobs: int, *, threads: int) -> "Pool":
        """Processes on this machine; one job needs none and runs in this one.

        Processes are spawned, not forked: torch and CUDA do not survive a fork.

        Args:
            jobs: processes.
            threads: of torch in each. The last bits of a loss can depend on them.
        """
        if jobs == 1:

            def here() -> Submits:
                torch.set_num_threads(threads)
                return _Here()

            return cls(start=here, ahead=1)
        before = frozenset(multiprocessing.active_children())

        def start() -> Submits:
            context = multiprocessing.get_context("spawn")
            return ProcessPoolExecutor(
                jobs, context, initializer=_begin_worker, initargs=(threads,)
            )

        def stop(executor: ProcessPoolExecutor, wait: bool) -> None:
            if not wait:
                _kill(set(multiprocessing.active_children()) - before)
            executor.shutdown(wait=True, cancel_futures=True)

        return cls(start=start, stop=stop, suspects=jobs)

    @classmethod
    def on(cls, executor: Submits) -> "Pool":
        """Any ``concurrent.futures.Executor``: Dask's, Ray's, MPI's. It is left running."""
        return cls(start=lambda: executor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            for each in self._submitted:
                if not each.done():
                    self.cancel(each)
        self._end(wait=kind is None)

    def run(
        self, work: Callable[[T], R], tasks: Sequence[T], *, name: Callable[[T], str] = str
    ) -> Iterator[R]:
        """Call `work` on every task; both must pickle.

        Args:
            work: a function of a module.
            tasks: to do.
            name: of a task, for messages.

        Yields:
            What `work` returned, in the order of the tasks.

        Raises:
            InputError: that `work` raised, or that names a task which died twice.
        """
        waiting, pending = deque(tasks), deque[tuple[T, Pending]]()
        self._submitted.clear()
        while waiting or pending:
            self._fill(work, waiting, pending)
            task, future = pending[0]
            try:
                answer = future.result()
            except BrokenExecutor as error:
                self._end(wait=False)
                left = self.suspects  # tasks start in order, so the first unfinished were running
                while pending and left:
                    task, future = pending.popleft()
                    if _has_answer(future):
                        yield _value(future.result())
                    else:  # alone: if it dies again, it is the one
                        yield self._again(work, task, name, error)
                        left -= 1
                waiting.extendleft(task for task, _ in reversed(pending))
                pending.clear()
                continue
            except Exception as error:
                answer = self._again(work, task, name, error)
            pending.popleft()
            yield _value(answer)

    def _fill(
        self, work: Callable[[T], R], waiting: deque[T], pending: deque[tuple[T, Pending]]
    ) -> None:
        if not waiting or (self.ahead is not None and len(pending) >= self.ahead):
            return
        executor = self._running()
        with self.batch(executor):
            while waiting and (self.ahead is None or len(pending) < self.ahead):
                task = waiting.popleft()
                pending.append((task, self._submit(executor, work, task)))

    def _again(
        self, work: Callable[[T], R], task: T, name: Callable[[T], str], error: Exception
    ) -> R:
        _log.warning("%s died (%s); it runs once more.", name(task), _reason(error))
        try:
            answer = self._submit(self._running(), work, task).result()
        except Exception as second:
            self._end(wait=False)
            raise InputError(
                f"{name(task)} died twice ({_reason(second)}).\n"
                "What was finished before it is recorded: find out why, and resume."
            ) from second
        return _value(answer)  # type: ignore[no-any-return]

    def _submit(self, executor: Submits, work: Callable[[T], R], task: T) -> Pending:
        future: Pending = executor.submit(_answer, work, task)
        self._submitted.append(future)
        return future

    def _running(self) -> Submits:
        if self._executor is None:
            self._executor = self.start()
        return self._executor

    def _end(self, *, wait: bool) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            self.stop(executor, wait)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_jobs(device: torch.device) -> int:
    """Processes where nobody says how many: one a core; on a GPU, which they would share, one."""
    return 1 if device.type != "cpu" else min(cores(), MOST_JOBS)


def threads_each(jobs: int) -> int:
    """The threads that torch has here, shared out."""
    return max(1, torch.get_num_threads() // jobs)


def _has_answer(future: Pending) -> bool:
    """Whether a future of a broken executor was done before it broke."""
    return isinstance(future, Future) and future.done() and future.exception() is None


def _value(answer: Any) -> Any:
    if isinstance(answer, _Refused):
        raise InputError(answer.message)
    return answer


def _reason(error: Exception) -> str:
    if isinstance(error, BrokenExecutor):
        return "its process was ended from outside: killed, or out of memory"
    return f"{type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error) else ''}"


def _kill(processes: set[BaseProcess]) -> None:
    for process in processes:
        process.kill()


def _begin_worker(threads: int) -> None:
    """In a new worker: its share of threads; Ctrl-C is its parent's; it ends with its parent."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()  # a parent that is killed would leave its workers waiting for ever
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
