"""What an isolation shows of itself, and smaller promises."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    Isolation,
    IsolationConfig,
    StackWarning,
    UnpicklableError,
    WorkerCrashed,
    explain,
    registry,
    retry,
)
from recoup._core import waiting
from recoup.errors import failures, is_refusal
from recoup.strategies.isolation import strategy as room
from recoup.strategies.isolation.jobs import Job
from recoup.strategies.isolation.keeper import Keeper
from tests.strategies.isolation import fakes, work
from tests.strategies.isolation.conftest import until
from tests.strategies.isolation.fakes import GATES, Caller, Gate, threaded

if TYPE_CHECKING:
    from tests.conftest import Both


def test_it_explains_itself() -> None:
    """explain() says what it does, and its worst case: the wait for a worker and the timeout (G14)."""
    isolation = Isolation(IsolationConfig(workers=2, timeout=3, queue_timeout=4), name="told")
    told = explain(isolation)
    assert told.says == (
        (
            "runs plain functions in 2 worker processes; a crash fails the one call that it hits",
            "kills a worker whose call takes more than 3 s, and starts another",
            "lets 100 more calls wait for a worker, up to 4 s, first come first served",
        ),
    )
    assert told.worst[0] == (1, 7.0)
    isolation.reconfigure(timeout=None, max_queue_size=0)
    told = explain(isolation)
    assert len(told.says[0]) == 1
    assert told.worst[0] == (1, math.inf)


def test_it_is_found_by_its_name() -> None:
    """A named isolation is in the registry."""
    isolation = Isolation(name="found")
    assert registry.find("found", Isolation) is isolation


def test_the_end_of_the_program_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left open is closed at the end of the program."""
    isolation = threaded(workers=1)
    isolation.execute_sync(fakes.add, 1)
    monkeypatch.setattr(room, "_open", [isolation])
    room._close_all()
    assert isolation.pids == ()
    assert isolation._crew.closed


@pytest.mark.asyncio_only
def test_a_block_closes() -> None:
    """An async block closes as a plain one does."""

    async def main() -> None:
        async with threaded(workers=1) as isolation:
            assert await isolation.execute(fakes.add, 1) == 2
        assert isolation.pids == ()
        with pytest.raises(RuntimeError, match="closed"):
            await isolation.execute(fakes.add, 1)

    asyncio.run(main())


def test_a_coroutine_from_a_plain_function(both: Both) -> None:
    """While recovery is off, a plain function that returns a coroutine works as ever (G5, G16)."""
    from recoup.testing import disabled

    isolation = Isolation()
    decorated: Any = isolation(work.coroutine)

    async def main() -> tuple[int, int]:
        with disabled():
            return await decorated(), await isolation.execute(work.coroutine)

    assert asyncio.run(main()) == (1, 1)


def test_a_breaker_counts_crashes() -> None:
    """A crash is a failure to breakers, and no refusal (G13)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), name="crashing")
    isolation = threaded(workers=1)
    with pytest.raises(WorkerCrashed) as caught:
        breaker.execute_sync(isolation.execute_sync, fakes.crash)
    assert breaker.state is CircuitBreakerState.OPEN
    assert not is_refusal(caught.value)
    isolation.close()


@pytest.mark.parametrize(
    ("exitcode", "text"),
    [
        (None, "ended with exit code None"),
        (3, "ended with exit code 3"),
        (-11, "was killed by SIGSEGV while"),
        (-9, "was killed by SIGKILL .perhaps the system ran out of memory. while"),
        (-250, "was killed by signal 250 while"),
    ],
)
def test_the_end_of_a_process_in_words(exitcode: int | None, text: str) -> None:
    """How a process ended is said in words."""
    with pytest.raises(WorkerCrashed, match=text):
        raise WorkerCrashed(name="x", exitcode=exitcode, started=True)
    assert failures.UnpicklableError is UnpicklableError


def test_a_forked_child_lets_go() -> None:
    """A keeper in a forked child holds neither a line nor anything to do (G18)."""
    isolation = threaded(workers=1)
    isolation.execute_sync(fakes.add, 1)
    keeper: Any = next(iter(isolation._crew._everyone))
    until(lambda: keeper in isolation._crew._idle)

    class Worker:
        def __init__(self) -> None:
            self.disowned = False

        def disown(self) -> None:
            self.disowned = True

    child = Keeper(isolation._crew.tally)
    worker: Any = Worker()
    child._worker = worker
    child.pid = 7
    child.after_fork()
    child.after_fork()
    assert worker.disowned
    assert child.pid is None
    child.join()
    isolation.close()


def test_the_program_ends() -> None:
    """Workers that nobody closed end with it, and the call after that begins none."""
    isolation = threaded(workers=1)
    assert isolation.execute_sync(fakes.add, 1) == 2
    room._close_all()
    with pytest.raises(RuntimeError, match="closed"):
        isolation.execute_sync(fakes.add, 1)
    room._close_all()  # nothing is left


def test_no_sockets_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system has no more sockets, the call fails with that, and nothing is left waiting."""
    isolation = threaded(workers=1)

    def refuse() -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("socket.socketpair", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            isolation.execute_sync(fakes.add, 1)
    assert isolation.execute_sync(fakes.add, 1) == 2
    isolation.close()


def test_the_switch_does_not_hide_mistakes() -> None:
    """What cannot be sent is an error before a worker is taken."""
    isolation = threaded(workers=1)
    with pytest.raises(UnpicklableError):
        isolation.execute_sync(work.echo, lambda: 1)
    assert isolation.metrics["started"] == 0


def test_a_job_ends_once() -> None:
    """Only the first outcome counts, and whoever leaves twice has left."""
    isolation = threaded(workers=1)
    job = Job(isolation._crew, isolation._plan(), b"", waiting.for_thread())
    job.fail(ValueError("first"))
    job.fail(ValueError("second"))
    assert not job.leave()
    assert job.leave()
    with pytest.raises(ValueError, match="first"):
        job.result()


def test_fewer_workers_let_calls_end() -> None:
    """A keeper that is one too many goes home when its call has ended, although others wait (B5)."""
    gates = [GATES.setdefault(name, Gate()) for name in ("few1", "few2")]
    isolation = threaded(workers=2, queue_timeout=600)
    callers = []
    for name, gate in zip(("few1", "few2"), gates, strict=True):
        callers.append(Caller(isolation, fakes.wait, name))
        assert gate.began.acquire(timeout=600)
    callers.append(Caller(isolation, fakes.add, 1))
    until(lambda: isolation.metrics["waiting"] == 1)
    isolation.reconfigure(workers=1)
    gates[0].open.set()
    assert callers[0].ended() == "few1"
    until(lambda: len(isolation.pids) == 1)
    assert isolation.metrics["waiting"] == 1
    gates[1].open.set()
    assert [caller.ended() for caller in callers[1:]] == ["few2", 2]
    isolation.close()


def test_state_inside_is_split() -> None:
    """What counts for all calls counts for one process inside isolation: decorating so warns, with the mend (G14)."""
    breaker, isolation = CircuitBreaker(), Isolation()
    with pytest.warns(StackWarning, match=r"circuit_breaker stands inside isolation: every worker.*put @isolate right"):
        isolation(breaker(work.add))
    with pytest.warns(StackWarning, match="the same isolation stands twice in one stack"):
        isolation(isolation(work.add))
    assert explain(breaker(isolation(work.add))).lints == ()
    assert explain(isolation(retry(max_attempts=2)(work.add))).lints == ()
