"""Faults of process pools: the standard library's, beside ours (docs/strategies/isolation.md)."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from recoup import DeadlineExceeded, Isolation, IsolationConfig, UnpicklableError, WorkerCrashed
from tests.peers.judge import only_ours

Run = Callable[..., Any]


class Unreadable(Exception):
    """Pickles, and does not unpickle: a class that wants more arguments than it hands on."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def fail_unreadably() -> None:
    raise Unreadable("a", "b")


@pytest.fixture
def ours() -> Iterator[Run]:
    config = IsolationConfig(workers=1, start_timeout=600, queue_timeout=600)
    with Isolation(config, name="ours") as isolation:

        def run(function: Any, *args: Any, seconds: float | None = None) -> Any:
            isolation.reconfigure(timeout=seconds)
            return isolation.execute_sync(function, *args)

        yield run


@pytest.fixture
def naive() -> Iterator[Run]:
    executor = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def run(function: Any, *args: Any, seconds: float | None = None) -> Any:
        return executor.submit(function, *args).result(seconds)

    yield run
    processes: Any = getattr(executor, "_processes", None) or {}
    for process in [*processes.values()]:
        process.kill()
    executor.shutdown()


def test_a_crash_costs_one_call(ours: Run, naive: Run) -> None:
    """A process that is gone fails its own call, and the next one works (BrokenProcessPool: none ever does again)."""

    def promise(run: Run) -> None:
        with pytest.raises((WorkerCrashed, BrokenProcessPool)):
            run(os._exit, 3)
        try:
            answer = run(divmod, 7, 2)
        except BrokenProcessPool:
            answer = None
        assert answer == (3, 1)

    only_ours(promise, ours, naive)


def test_a_hung_call_holds_no_process(ours: Run, naive: Run) -> None:
    """A call that was given up is over, its process free for the next (`result(timeout)` of a future ends nothing)."""

    def promise(run: Run) -> None:
        with pytest.raises((DeadlineExceeded, TimeoutError)):
            run(time.sleep, 600, seconds=0.05)
        try:
            answer = run(divmod, 7, 2, seconds=600 if run is ours else 0.5)
        except TimeoutError:
            answer = None
        assert answer == (3, 1)

    only_ours(promise, ours, naive)


def test_an_exception_that_does_not_unpickle_harms_nobody(ours: Run, naive: Run) -> None:
    """An exception that cannot come back is said to be so (there it breaks the pool, in others the caller waits)."""

    def promise(run: Run) -> None:
        with pytest.raises((UnpicklableError, BrokenProcessPool)):
            run(fail_unreadably)
        try:
            answer = run(divmod, 7, 2)
        except BrokenProcessPool:
            answer = None
        assert answer == (3, 1)

    only_ours(promise, ours, naive)
