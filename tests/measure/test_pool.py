"""The pool: results in the order of tasks, deaths reported and tried again, nothing left over."""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.measure.pool import Pool, threads_each


def square(number: int) -> int:
    if number < 0:
        raise InputError(f"{number} is negative")
    return number * number


def fragile(task: tuple[int, str]) -> tuple[int, int]:
    """Squares; the first call for 2 is killed, as by a machine that is out of memory."""
    number, folder = task
    mark = Path(folder) / "died"
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number, torch.get_num_threads()


@dataclass
class Failing:
    """An executor whose calls fail as they are told to: an error for each submission, or none."""

    errors: list[Exception | None]
    submitted: list[int] = field(default_factory=list)

    def submit(self, function: Callable[..., Any], /, work: Any, task: int) -> Future[Any]:
        self.submitted.append(task)
        error = self.errors.pop(0) if self.errors else None
        future: Future[Any] = Future()
        if error is None:
            future.set_result(function(work, task))
        else:
            future.set_exception(error)
        return future


def test_in_this_process_results_come_in_order_and_bad_input_goes_through() -> None:
    with Pool.local(1, threads=1) as pool:
        assert list(pool.run(square, [3, 1, 2])) == [9, 1, 4]
        results = pool.run(square, [3, -1, 2])
        assert next(results) == 9
        with pytest.raises(InputError, match=r"^-1 is negative$"):
            next(results)


def test_a_process_that_is_killed_is_reported_and_its_task_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [(number, str(tmp_path)) for number in range(6)]
    with Pool.local(2, threads=1) as pool:
        results = list(pool.run(fragile, tasks, name=lambda task: f"the run {task[0]}"))
    assert results == [(number * number, 1) for number in range(6)]
    died = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any("the run 2 died (its process was ended from outside" in each for each in died)
    assert len(died) <= 2  # whoever ran beside it may have been the one
    assert not multiprocessing.active_children()


def test_leaving_it_early_ends_its_processes(tmp_path: Path) -> None:
    (tmp_path / "died").touch()
    tasks = [(number, str(tmp_path)) for number in range(50)]

    def interrupted() -> None:
        with Pool.local(2, threads=1) as pool:
            next(pool.run(fragile, tasks))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not multiprocessing.active_children()


class Queue:
    """An executor that begins nothing; and one whose first answer is there."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        self.futures.append(Future())
        if len(self.futures) == 1:
            self.futures[0].set_result(function(*args))
        return self.futures[-1]


def test_leaving_early_takes_back_what_others_have_been_given() -> None:
    queue = Queue()

    def interrupted() -> None:
        with Pool.on(queue) as pool:
            assert next(pool.run(square, [1, 2, 3])) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [future.cancelled() for future in queue.futures] == [False, True, True]


@pytest.mark.parametrize("error", [MemoryError("no more"), BrokenExecutor()])
def test_a_death_on_any_executor_is_tried_once_more(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    executor = Failing(errors=[None, error, None])
    assert list(Pool.on(executor).run(square, [1, 2, 3])) == [1, 4, 9]
    assert executor.submitted.count(2) == 2
    assert len(caplog.records) == 1


def test_a_second_death_names_the_task(caplog: pytest.LogCaptureFixture) -> None:
    executor = Failing(errors=[None, MemoryError("no\nmore"), None, MemoryError("no more")])
    results = Pool.on(executor).run(square, [1, 2, 3], name=lambda task: f"the run at {task}")
    assert next(results) == 1
    with pytest.raises(InputError, match=r"the run at 2 died twice \(MemoryError: no more\)"):
        next(results)


def test_threads_are_shared_out() -> None:
    assert threads_each(1) == torch.get_num_threads()
    assert threads_each(1000) == 1
