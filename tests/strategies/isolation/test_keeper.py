"""Callers, the queue, keepers and their workers together, with workers that are threads, which is quick."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from recoup import DeadlineExceeded, Isolation, IsolationBusyError, WorkerCrashed, deadline, subscribe
from recoup.errors import is_refusal
from recoup.strategies.isolation import keeper as room
from recoup.strategies.isolation import process
from recoup.strategies.isolation.jobs import Job
from tests.strategies.isolation import fakes, work
from tests.strategies.isolation.conftest import until
from tests.strategies.isolation.fakes import GATES, Caller, Gate, ThreadWorker, threaded

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from recoup.events import Event
    from recoup.strategies.isolation.process import Plan
    from tests.conftest import Both


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Iterator[Gate]:
    """A gate that work waits at; its name is "gate"."""
    made = GATES["gate"] = Gate()
    yield made
    made.open.set()


def test_first_come_first_served(both: Both) -> None:
    """Those who wait are served in the order in which they came, over threads and tasks alike (B1)."""
    made = [GATES.setdefault(f"order{number}", Gate()) for number in range(4)]
    with threaded(workers=1, queue_timeout=600) as isolation:
        callers = []
        for number in range(4):
            callers.append(Caller(isolation, fakes.wait, f"order{number}"))
            until(partial(_busy, isolation, number + 1))
        for number, each in enumerate(made):
            assert each.began.acquire(timeout=600)
            assert isolation.metrics["waiting"] == 3 - number
            assert not any(later.began.acquire(blocking=False) for later in made[number + 1 :])
            each.open.set()
        assert [caller.ended() for caller in callers] == [f"order{number}" for number in range(4)]
        assert both.execute(isolation, fakes.add, 1) == 2
    GATES.clear()


def _busy(isolation: Isolation, number: int) -> bool:
    counts = isolation.metrics
    return counts["running"] + counts["waiting"] == number


def test_a_full_queue_refuses(both: Both, gate: Gate) -> None:
    """Beyond the queue a call is refused at once; that says nothing about the function (B2, G13)."""
    told: list[Event] = []
    with subscribe(told.append), threaded(workers=1, max_queue_size=0) as isolation:
        caller = Caller(isolation, fakes.wait, "gate")
        assert gate.began.acquire(timeout=600)
        with pytest.raises(IsolationBusyError, match="too many calls wait already, and 1 run at once") as caught:
            both.execute(isolation, fakes.add, 1)
        assert is_refusal(caught.value)
        assert isolation.metrics["rejected"] == 1
        gate.open.set()
        assert caller.ended() == "gate"
    assert [type(each).__name__ for each in told] == ["WorkerStarted", "CallRefused", "WorkerEnded"]
    ended: Any = told[2]
    assert (told[0].name, ended.how) == ("threads", "ended")


def test_patience_ends(both: Both, gate: Gate) -> None:
    """A call that no worker takes within queue_timeout is refused, never runs, and leaves no trace (B2)."""
    told: list[Event] = []
    with threaded(workers=1) as isolation, subscribe(told.append):
        caller = Caller(isolation, fakes.wait, "gate")
        assert gate.began.acquire(timeout=600)
        isolation.reconfigure(queue_timeout=0.01)
        with pytest.raises(IsolationBusyError, match=r"no worker took it within 0\.01 s") as caught:
            both.execute(isolation, fakes.add, 1)
        assert caught.value.waited == 0.01
        assert isolation.metrics["timeout"] == 1
        assert isolation.metrics["waiting"] == 0
        gate.open.set()
        assert caller.ended() == "gate"
        assert isolation.metrics["executed"] == 1
    assert "CallQueued" in [type(each).__name__ for each in told]


def test_a_deadline_ends_the_wait(both: Both, gate: Gate) -> None:
    """A deadline that strikes in the queue is a refusal: started is False (D1, G13)."""
    told: list[Event] = []
    with threaded(workers=1) as isolation, subscribe(told.append):
        caller = Caller(isolation, fakes.wait, "gate")
        assert gate.began.acquire(timeout=600)

        def plain() -> Any:
            return isolation.execute_sync(fakes.add, 1)

        async def coroutine() -> Any:
            return await isolation.execute(fakes.add, 1)

        limited = deadline(0.01, mode="cooperative")(coroutine if both.is_async else plain)
        with pytest.raises(DeadlineExceeded, match="used up before the call could start") as caught:
            both.call(limited)
        assert not caught.value.started
        queued = sum(type(each).__name__ == "CallQueued" for each in told)  # on a busy machine it is over before that
        assert isolation.metrics["timeout"] == queued
        gate.open.set()
        assert caller.ended() == "gate"


def test_a_call_may_begin_in_the_last_moment(both: Both, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that has begun when its patience ends is waited for."""
    real = Job.too_late
    late: list[bool] = []

    def too_late(self: Job) -> bool:
        assert gate.began.acquire(timeout=600)
        late.append(real(self))
        gate.open.set()
        return late[-1]

    monkeypatch.setattr(Job, "too_late", too_late)
    with threaded(workers=1, queue_timeout=0.001) as isolation:
        assert both.execute(isolation, fakes.wait, "gate") == "gate"
    assert late == [False]


def test_an_outcome_may_come_in_the_last_moment(both: Both, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose outcome is there when its patience ends has that outcome."""
    real = Job.too_late
    late: list[bool] = []

    def too_late(self: Job) -> bool:
        gate.open.set()
        until(self.done)
        late.append(real(self))
        return late[-1]

    monkeypatch.setattr(Job, "too_late", too_late)
    with threaded(workers=1, queue_timeout=0.001) as isolation:
        assert both.execute(isolation, fakes.wait, "gate") == "gate"
    assert late == [False]


def test_a_late_worker_is_killed(both: Both, gate: Gate) -> None:
    """A function that takes too long costs its caller no more than the timeout; the keeper has a new worker next."""
    with threaded(workers=1, timeout=0.01, queue_timeout=600) as isolation:
        with pytest.raises(DeadlineExceeded, match=r"threads: not finished within 0\.01 s") as caught:
            both.execute(isolation, fakes.wait, "gate")
        assert caught.value.started
        isolation.reconfigure(timeout=None)
        assert both.execute(isolation, fakes.add, 1) == 2
        assert isolation.metrics["killed"] == 1
        assert isolation.metrics["started"] == 2


@pytest.mark.parametrize("when", ["queued", "running"])
@pytest.mark.asyncio_only
def test_cancellation_leaves_nothing_behind(when: str, gate: Gate) -> None:
    """A task that is cancelled takes its call with it, from the queue or from the worker (G2)."""
    isolation = threaded(workers=1)

    async def main() -> None:
        running = asyncio.ensure_future(isolation.execute(fakes.wait, "gate"))
        await asyncio.to_thread(gate.began.acquire)
        waiting = asyncio.ensure_future(isolation.execute(fakes.add, 1))
        await asyncio.to_thread(until, lambda: isolation.metrics["waiting"])
        task = waiting if when == "queued" else running
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open.set()
        assert await (running if when == "queued" else waiting) in ("gate", 2)

    asyncio.run(main())
    isolation.close()
    assert isolation.metrics["executed"] == (1 if when == "queued" else 2)
    assert isolation.metrics["killed"] == (0 if when == "queued" else 1)


def test_every_step_of_a_task_can_be_its_last(gate: Gate) -> None:
    """A coroutine that is closed at any of its awaits gives everything back."""
    isolation = threaded(workers=1)
    for function, args in ((fakes.add, (1,)), (fakes.wait, ("gate",))):

        async def main(function: Any = function, args: Any = args) -> None:
            coroutine: Any = isolation.execute(function, *args)
            coroutine.send(None)
            coroutine.close()

        asyncio.run(main())
    gate.open.set()
    assert isolation.execute_sync(fakes.add, 2) == 3
    isolation.close()
    assert isolation.metrics["running"] == isolation.metrics["waiting"] == 0


def test_a_loop_may_be_gone(gate: Gate) -> None:
    """A call whose event loop was closed while it waited is passed over (G7)."""
    isolation = threaded(workers=1, max_queue_size=1)
    caller = Caller(isolation, fakes.wait, "gate")
    assert gate.began.acquire(timeout=600)
    loop = asyncio.new_event_loop()
    task: Any = loop.create_task(isolation.execute(fakes.add, 1))
    loop.run_until_complete(asyncio.sleep(0))
    assert isolation.metrics["waiting"] == 1
    loop.close()
    second = Caller(isolation, fakes.add, 2)
    until(lambda: isolation.metrics["waiting"] == 1)
    gate.open.set()
    assert caller.ended() == "gate"
    assert second.ended() == 3
    isolation.close()
    assert isolation.metrics["executed"] == 2
    task._log_destroy_pending = False  # its loop is gone on purpose
    coroutine: Any = task.get_coro()
    coroutine.close()


def test_an_initializer_that_fails(both: Both) -> None:
    """What the initializer raises is what the call fails with, and the next call tries again."""
    with threaded(workers=1, initializer=work.refuse_to_start) as isolation:
        for _ in range(2):
            with pytest.raises(ValueError, match="not today"):
                both.execute(isolation, fakes.add, 1)
        isolation.reconfigure(initializer=None)
        assert both.execute(isolation, fakes.add, 1) == 2


def test_an_initializer_that_cannot_be_sent() -> None:
    """An initializer that does not pickle is named."""
    with (
        threaded(workers=1, initializer=partial(fakes.add, cast("Any", threading.Lock()))) as isolation,
        pytest.raises(TypeError, match="the initializer cannot go from one process to another: TypeError"),
    ):
        isolation.execute_sync(fakes.add, 1)


def test_a_worker_that_does_not_start(both: Both, gate: Gate) -> None:
    """A worker that takes too long to start is killed, and the call is refused; one that dies fails the call."""
    slow = partial(fakes.wait, "gate")
    with threaded(workers=1, initializer=slow, start_timeout=0.01) as isolation:
        with pytest.raises(DeadlineExceeded, match="start of a worker of 'threads'") as caught:
            both.execute(isolation, fakes.add, 1)
        assert not caught.value.started
        isolation.reconfigure(initializer=fakes.crash, start_timeout=600)
        with pytest.raises(WorkerCrashed, match="before it called the function; if that happens always") as crashed:
            both.execute(isolation, fakes.add, 1)
        assert not crashed.value.started
        assert isolation.metrics["crashed"] == 1
        assert isolation.metrics["killed"] == 1


def test_a_worker_that_starts_for_somebody_who_left_is_kept(gate: Gate) -> None:
    """Time spent on starting a worker is not lost with the patience of the one caller: the next one finds it ready."""
    with threaded(workers=1, initializer=partial(fakes.wait, "gate"), queue_timeout=0.01) as isolation:
        with pytest.raises(IsolationBusyError):
            isolation.execute_sync(fakes.add, 1)
        gate.open.set()
        isolation.reconfigure(queue_timeout=600)
        assert isolation.execute_sync(fakes.add, 1) == 2
        assert isolation.metrics["started"] == 1
        assert isolation.metrics["executed"] == 1


def test_a_crash_fails_one_call(both: Both, gate: Gate) -> None:
    """Of calls that run and wait, only that of the worker which crashed fails."""
    with threaded(workers=2, queue_timeout=600) as isolation:
        other = Caller(isolation, fakes.wait, "gate")
        assert gate.began.acquire(timeout=600)
        with pytest.raises(WorkerCrashed) as caught:
            both.execute(isolation, fakes.crash)
        assert caught.value.started
        assert both.execute(isolation, fakes.add, 1) == 2
        gate.open.set()
        assert other.ended() == "gate"


def test_an_idle_worker_may_die() -> None:
    """A worker that ends while it is idle is noticed then; if it ends just as a call comes, it is replaced."""
    with threaded(workers=1, queue_timeout=600) as isolation:
        isolation.execute_sync(fakes.add, 1)
        (keeper,) = isolation._crew._everyone
        worker: Any = keeper._worker
        until(lambda: keeper in isolation._crew._idle)
        worker._sock.shutdown(2)
        until(lambda: isolation.pids == ())
        assert isolation.execute_sync(fakes.add, 1) == 2
        assert isolation.metrics["crashed"] == 1


def test_a_dead_worker_is_seen_before_it_is_asked() -> None:
    """A keeper looks whether its worker is there before it begins a call with it."""
    isolation = threaded(workers=1)
    isolation.execute_sync(fakes.add, 1)
    isolation.close()
    plan = isolation._plan()
    keeper = room.Keeper(isolation._crew.tally, ThreadWorker)
    keeper._start(plan)
    worker: Any = keeper._worker
    worker._sock.shutdown(2)

    class Sample:
        def __init__(self) -> None:
            self.plan = plan

        def fail(self, error: BaseException) -> None:
            raise error

    assert keeper._ready(cast("Any", Sample()))
    assert keeper._worker is not worker
    keeper._end("ended", kindly=True)


def test_one_caller_needs_one_worker(both: Both) -> None:
    """A worker is idle before its caller hears of the outcome: one call after the other starts no second one."""
    with threaded(workers=4) as isolation:
        for number in range(100):
            assert both.execute(isolation, fakes.add, number) == number + 1
        assert isolation.metrics["started"] == 1


def test_recycling() -> None:
    """After so many calls a worker ends kindly, and another one comes."""
    with threaded(workers=1, max_calls_per_worker=2) as isolation:
        for number in range(5):
            assert isolation.execute_sync(fakes.add, number) == number + 1
        until(lambda: isolation.metrics["recycled"] == 2)
        assert isolation.metrics["started"] == 3


def test_reconfigured_while_calls_run(gate: Gate) -> None:
    """More workers serve those who wait at once; fewer let those that run go on (B5)."""
    with threaded(workers=1, queue_timeout=600) as isolation:
        running = Caller(isolation, fakes.wait, "gate")
        assert gate.began.acquire(timeout=600)
        waiting = Caller(isolation, fakes.add, 1)
        until(lambda: isolation.metrics["waiting"] == 1)
        isolation.reconfigure(workers=2)
        assert waiting.ended() == 2
        assert repr(isolation) == "<Isolation 'threads' running=1/2 waiting=0/100>"
        isolation.reconfigure(workers=1)
        until(lambda: len(isolation.pids) == 1)
        gate.open.set()
        assert running.ended() == "gate"
        assert isolation.execute_sync(fakes.add, 1) == 2


def test_reset_replaces_the_workers(gate: Gate) -> None:
    """reset() forgets the counts, and what workers have kept goes with them: of busy ones after the call."""
    with threaded(workers=2, queue_timeout=600) as isolation:
        running = Caller(isolation, fakes.wait, "gate")
        assert gate.began.acquire(timeout=600)
        isolation.execute_sync(fakes.add, 1)
        before = set(isolation.pids)
        until(lambda: isolation.metrics["running"] == 1)
        isolation.reset()
        assert isolation.metrics["executed"] == 0
        until(lambda: len(isolation.pids) == 1)
        gate.open.set()
        assert running.ended() == "gate"
        until(lambda: isolation.pids == ())
        assert isolation.execute_sync(fakes.add, 1) == 2
        assert not before & set(isolation.pids)


def test_an_old_worker_is_replaced_when_it_is_needed() -> None:
    """A worker that was started under an earlier initializer is not used again."""
    with threaded(workers=1) as isolation:
        isolation.execute_sync(fakes.add, 1)
        (old,) = isolation.pids
        until(lambda: isolation.metrics["running"] == 0)
        isolation.reconfigure(initializer=partial(fakes.add, 1))
        isolation.execute_sync(fakes.add, 1)
        assert isolation.pids != (old,)
    isolation = threaded(workers=1)
    isolation.execute_sync(fakes.add, 1)
    isolation._crew.era += 1  # as if that happened between the call and its keeper
    assert isolation.execute_sync(fakes.add, 1) == 2
    assert isolation.metrics["started"] == 2
    isolation.close()


def test_close_lets_calls_end(both: Both, gate: Gate) -> None:
    """close() lets calls run and waiting ones be made, takes no more, and leaves no worker."""
    isolation = threaded(workers=1, queue_timeout=600)
    running, waiting = Caller(isolation, fakes.wait, "gate"), None
    assert gate.began.acquire(timeout=600)
    waiting = Caller(isolation, fakes.add, 1)
    until(lambda: isolation.metrics["waiting"] == 1)
    threading.Thread(target=lambda: until(lambda: isolation._crew.closed) or gate.open.set()).start()
    both.call(isolation.aclose if both.is_async else isolation.close)
    assert (running.ended(), waiting.ended()) == ("gate", 2)
    assert isolation.pids == ()
    assert repr(isolation) == "<Isolation 'threads' closed running=0/1 waiting=0/100>"
    with pytest.raises(RuntimeError, match="isolation 'threads' was closed: make another one"):
        both.execute(isolation, fakes.add, 1)


def test_a_block_that_fails_kills(both: Both, gate: Gate) -> None:
    """A block that is left by an exception waits for no call that runs yet."""
    isolation = threaded(workers=1)
    running = Caller(isolation, fakes.wait, "gate")
    assert gate.began.acquire(timeout=600)

    def plain() -> None:
        with isolation:
            raise ValueError("left")

    async def coroutine() -> None:
        async with isolation:
            raise ValueError("left")

    with pytest.raises(ValueError, match="left"):
        both.call(coroutine if both.is_async else plain)
    assert isinstance(running.ended(), WorkerCrashed)


def test_close_may_kill(both: Both, gate: Gate) -> None:
    """close(kill=True) ends what runs and refuses what waits."""
    isolation = threaded(workers=1, queue_timeout=600)
    running = Caller(isolation, fakes.wait, "gate")
    assert gate.began.acquire(timeout=600)
    waiting = Caller(isolation, fakes.add, 1)
    until(lambda: isolation.metrics["waiting"] == 1)
    both.call(isolation.aclose if both.is_async else isolation.close, kill=True)
    assert isinstance(running.ended(), WorkerCrashed)
    assert isinstance(waiting.ended(), RuntimeError)
    assert isolation.pids == ()


def test_close_may_find_a_worker_that_starts(gate: Gate) -> None:
    """A worker that is being started when everything is closed is ended as well."""
    isolation = threaded(workers=1, initializer=partial(fakes.wait, "gate"), queue_timeout=600)
    caller = Caller(isolation, fakes.add, 1)
    assert gate.began.acquire(timeout=600)
    isolation.close(kill=True)
    assert isinstance(caller.ended(), RuntimeError)


def test_a_killed_keeper_starts_nothing() -> None:
    """A keeper that is killed before it has begun its job starts no worker for it."""
    isolation = threaded(workers=1)
    keeper = room.Keeper(isolation._crew.tally, ThreadWorker)
    failed: list[BaseException] = []

    class Sample:
        def __init__(self) -> None:
            self.plan = isolation._plan()

        def fail(self, error: BaseException) -> None:
            failed.append(error)

    keeper.kill()
    assert not keeper._ready(cast("Any", Sample()))
    assert "was closed" in str(failed[0])
    assert isolation.metrics["started"] == 0
    keeper.start("killed")
    keeper.join(600)


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_interrupted_close_kills(cancelled: bool, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot wait until calls have ended has them killed."""
    isolation = threaded(workers=1)
    running = Caller(isolation, fakes.wait, "gate")
    assert gate.began.acquire(timeout=600)
    if cancelled:

        async def main() -> None:
            task = asyncio.ensure_future(isolation.aclose())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
    else:

        def interrupt(self: object, seconds: float | None = None) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(room.Keeper, "join", interrupt)
            with pytest.raises(KeyboardInterrupt):
                isolation.close()
    assert isinstance(running.ended(), WorkerCrashed)


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_no_threads_to_be_had(monkeypatch: pytest.MonkeyPatch, both: Both, kind: type[BaseException]) -> None:
    """If a thread cannot be started, the call fails with that, and no place is lost (B3)."""
    isolation = threaded(workers=1)

    def refuse(self: object) -> None:
        raise kind("can't start new thread")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(kind):
                both.execute(isolation, fakes.add, 1)
    assert both.execute(isolation, fakes.add, 1) == 2
    isolation.close()
    assert _busy(isolation, 0)


def test_a_listener_may_close() -> None:
    """A listener in a keeper's own thread may close the isolation: it does not wait for itself."""
    isolation = threaded(workers=1, max_calls_per_worker=1)
    told: list[Event] = []

    def close(event: Event) -> None:
        isolation.close()
        told.append(event)

    def call() -> None:
        for _ in range(100_000):
            isolation.execute_sync(fakes.add, 1)

    with subscribe(close), pytest.raises(RuntimeError, match="was closed"):
        call()
    until(lambda: told)


def test_no_processes_to_be_had(both: Both) -> None:
    """If the system has no more processes, the call fails with that."""
    tries: list[int] = []

    def refuse(plan: Plan, bell: socket.socket) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return ThreadWorker(plan, bell)

    isolation = threaded(workers=1)
    isolation._crew._make = partial(room.Keeper, make=refuse)
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            both.execute(isolation, fakes.add, 1)
    assert both.execute(isolation, fakes.add, 1) == 2
    isolation.close()


def test_an_error_of_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the keeper's thread, the caller hears of it, and the keeper goes on."""
    isolation = threaded(workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(room, "framed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            isolation.execute_sync(fakes.add, 1)
    assert isolation.execute_sync(fakes.add, 1) == 2
    isolation.close()


def test_nothing_is_kept(gate: Gate) -> None:
    """After a call nobody keeps its arguments or its error (G11), and an isolation that is dropped ends its workers."""

    isolation = threaded(workers=1)
    gone: list[Any] = []
    gc.disable()
    try:
        try:
            isolation.execute_sync(fakes.fail, "no")
        except fakes.Failure as error:
            gone.append(weakref.ref(error))
        assert gone[0]() is None
    finally:
        gc.enable()
    ended = _idle_end(isolation)
    dropped = weakref.ref(isolation)
    del isolation
    gc.collect()
    assert dropped() is None
    assert ended.wait(600)


def _idle_end(isolation: Isolation) -> threading.Event:
    (keeper,) = isolation._crew._everyone
    until(lambda: keeper in isolation._crew._idle)
    gone: threading.Event = keeper._gone
    return gone


def test_two_hundred_calls_with_crashes_and_hangs() -> None:
    """Every call gets exactly one outcome, and it is its own; afterwards everything works (B3, G2)."""
    isolation = threaded(workers=4, timeout=0.05, max_queue_size=200, queue_timeout=600, max_calls_per_worker=7)
    gate = GATES["storm"] = Gate()
    chance = random.Random(7)  # the same storm each time
    kinds = chance.choices(["add", "fail", "crash", "hang", "cancel"], [6, 2, 1, 1, 1], k=200)
    outcomes: dict[int, list[object]] = {number: [] for number in range(200)}

    async def one(number: int) -> None:
        kind = kinds[number]
        calls: dict[str, Any] = {
            "fail": (fakes.fail, str(number)),
            "crash": (fakes.crash,),
            "hang": (fakes.wait, "storm"),
        }
        function, *args = calls.get(kind, (fakes.add, number))
        task: asyncio.Future[object] = asyncio.ensure_future(isolation.execute(function, *args))
        if kind == "cancel":
            asyncio.get_running_loop().call_later(0.01 * chance.random(), task.cancel)
        try:
            outcomes[number].append(await task)
        except (ConnectionError, WorkerCrashed, DeadlineExceeded, asyncio.CancelledError) as error:
            outcomes[number].append(error)

    async def some(numbers: range) -> None:
        await asyncio.gather(*map(one, numbers))

    threads = [threading.Thread(target=asyncio.run, args=(some(range(part, 200, 4)),)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.open.set()
    right: dict[str, Any] = {"fail": ConnectionError, "crash": WorkerCrashed, "add": int}
    right |= {"cancel": (int, asyncio.CancelledError)}
    for number, kind in enumerate(kinds):
        (outcome,) = outcomes[number]
        if isinstance(outcome, DeadlineExceeded):  # a busy machine may need longer for any of them
            continue
        assert isinstance(outcome, right[kind]), (kind, outcome)
        assert str(outcome) == str(number) if kind == "fail" else kind != "add" or outcome == number + 1
    isolation.reconfigure(timeout=None)
    assert [isolation.execute_sync(fakes.add, number) for number in range(20)] == list(range(1, 21))
    isolation.close()
    assert _busy(isolation, 0)
    assert isolation.pids == ()


def test_who_must_not_start_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that imports the main module, and a daemon of multiprocessing, are told what to do."""
    current: Any = multiprocessing.current_process()
    monkeypatch.setattr(current, "_inheriting", True, raising=False)
    with pytest.raises(RuntimeError, match='under `if __name__ == "__main__":`'):
        process.refuse_to_start()
    monkeypatch.undo()
    monkeypatch.setitem(current._config, "daemon", True)
    with pytest.raises(RuntimeError, match="make it with daemon=False"):
        process.refuse_to_start()
