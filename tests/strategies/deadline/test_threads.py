"""`mode="thread"`: the caller gets control back on time, the work goes on until it ends (D3).

Threads wait in real time, so these tests do too, for some tenths of a second: less would not do where a machine is
so busy that a thread takes that long to begin.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from recoup import DeadlineConfig, DeadlineExceeded, Refusal, TimeLimiter, current_deadline, deadline, subscribe
from recoup._core import timing, waiting
from recoup._core.timing import Limit, Live
from recoup.errors import WorkersBusyError
from recoup.events import CallRefused, DeadlineStruck
from recoup.strategies.deadline import jobs, pumps
from recoup.strategies.deadline.workers import Workers
from recoup.testing import VirtualClock, disabled

LONG = 30.0


def eventually(condition: Callable[[], object]) -> None:
    """Wait in real time for what another thread does."""
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event on which work may hang; set at the end, so that no thread is left behind."""
    event = threading.Event()
    yield event
    event.set()


def workers_of(limiter: TimeLimiter) -> Workers:
    assert limiter._workers is not None
    return limiter._workers


def test_a_call_in_time() -> None:
    """Arguments, result, context and deadline cross the thread; the caller's own context is left alone (D3)."""
    variable = contextvars.ContextVar("variable", default="default")
    main = threading.current_thread()

    @deadline(LONG, mode="thread", name="fetch")
    def work(x: int, *, y: int) -> Any:
        assert threading.current_thread() is not main
        assert threading.current_thread().daemon
        assert threading.current_thread().name == "recoup-fetch-1"
        ambient = current_deadline()
        assert ambient is not None
        seen = variable.get()
        variable.set("changed inside")
        return x, y, seen, ambient.name, 0 < ambient.remaining() <= LONG

    variable.set("the caller's")
    for _ in range(3):
        assert work(1, y=2) == (1, 2, "the caller's", "fetch", True)
    assert variable.get() == "the caller's"
    assert current_deadline() is None


def test_the_deadline_is_over_when_the_work_is() -> None:
    """What the work leaves behind is not bound by its deadline (G16)."""
    left: list[contextvars.Context] = []

    @deadline(LONG, mode="thread")
    def work() -> None:
        left.append(contextvars.copy_context())

    work()
    assert left[0].run(current_deadline) is None


def test_errors_come_out_themselves() -> None:
    """The user's error is the same object with the traceback of the work and no context of ours (G3)."""
    error = ValueError("mine")

    @deadline(LONG, mode="thread")
    def broken() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        broken()
    assert caught.value is error
    assert error.__context__ is None
    assert "broken" in [entry.name for entry in caught.traceback]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_comes_out_itself(kind: type[BaseException]) -> None:
    """What is no Exception crosses the thread as well (G2)."""

    @deadline(LONG, mode="thread")
    def stop() -> None:
        raise kind

    with pytest.raises(kind):
        stop()


def test_the_caller_gets_control_back_on_time(release: threading.Event) -> None:
    """The caller gets DeadlineExceeded on time; the work goes on and sees that its time is over (D3)."""
    seen: list[Any] = []

    @deadline(0.2, mode="thread", thread_workers=1, name="fetch")
    def work() -> str:
        ambient = current_deadline()
        assert ambient is not None
        release.wait(LONG)
        seen.append((current_deadline() is ambient, ambient.struck))
        try:
            ambient.check()
        except DeadlineExceeded:
            seen.append("over")
        return "nobody takes this"

    told: list[Any] = []
    began = time.monotonic()
    with subscribe(told.append), pytest.raises(DeadlineExceeded, match=r"fetch: not finished within 0\.2 s") as caught:
        work()
    assert 0.2 <= time.monotonic() - began < LONG
    assert (caught.value.started, caught.value.abandoned) == (True, True)
    assert told == [DeadlineStruck("fetch", 0.2, started=True)]
    assert current_deadline() is None
    release.set()
    eventually(lambda: len(seen) == 2)
    assert seen == [(True, True), "over"]


def test_without_a_free_thread_the_call_is_refused_at_once(release: threading.Event) -> None:
    """Work that was given up keeps its place until it really ends; meanwhile calls are refused (D3)."""
    limiter = deadline(0.2, mode="thread", thread_workers=2, name="fetch")

    @limiter
    def work() -> bool:
        return release.wait(LONG)

    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            work()
    told: list[Any] = []
    with subscribe(told.append), pytest.raises(WorkersBusyError, match="no thread is free of 2") as caught:
        work()
    assert isinstance(caught.value, Refusal)
    assert (caught.value.name, caught.value.retry_after, caught.value.thread_workers) == ("fetch", None, 2)
    assert told == [CallRefused("fetch", "deadline", None)]
    release.set()
    eventually(lambda: workers_of(limiter).free() == 2)
    assert work() is True


def test_nested_use_is_refused_and_does_not_deadlock() -> None:
    """A limited function that calls itself uses one thread a level; when none is free, it is refused (D3)."""

    @deadline(LONG, mode="thread", thread_workers=3)
    def depth(n: int) -> int:
        try:
            return depth(n + 1)
        except WorkersBusyError:
            return n

    assert depth(1) == 3
    assert depth(1) == 3


def test_threads_are_used_again_and_only_when_needed() -> None:
    """Calls one after the other use one thread; the place is free before the caller hears of the end (D3)."""
    limiter = deadline(LONG, mode="thread", thread_workers=1)
    work = limiter(threading.get_ident)
    assert len({work() for _ in range(200)}) == 1
    assert workers_of(limiter).free() == 1


def test_the_limit_holds_over_many_threads(release: threading.Event) -> None:
    """However many threads call, no more than `thread_workers` calls run, and every place comes back (G7)."""
    running: list[int] = []
    most: list[int] = []
    outcomes: list[str] = []

    @deadline(LONG, mode="thread", thread_workers=4)
    def work() -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.001)
        running.pop()

    def caller() -> None:
        for _ in range(30):
            try:
                work()
                outcomes.append("done")
            except WorkersBusyError:
                outcomes.append("refused")

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 240
    assert outcomes.count("done") == len(most)
    assert max(most) <= 4


def test_an_outer_deadline_cuts_the_wait(release: threading.Event) -> None:
    """The wait is cut to a tighter deadline outside, which is then the one to blame (D1)."""

    @deadline(LONG, mode="thread", name="inner")
    def inner() -> None:
        release.wait(LONG)

    @deadline(0.2, mode="cooperative", name="outer")
    def outer() -> None:
        inner()

    with pytest.raises(DeadlineExceeded, match="outer: not finished"):
        outer()
    release.set()


def test_no_time_left() -> None:
    """Without time no thread is asked for (G13)."""

    @deadline(LONG, mode="thread")
    def inner() -> None:
        raise AssertionError

    @deadline(0.001, mode="cooperative", name="outer")
    def outer() -> None:
        time.sleep(0.002)
        inner()

    with pytest.raises(DeadlineExceeded, match=r"outer: .* before the call could start"):
        outer()


def test_recovery_off() -> None:
    """With recovery switched off the call runs where it is called (G16)."""
    work = deadline(LONG, mode="thread")(threading.current_thread)
    with disabled():
        assert work() is threading.current_thread()


def test_a_plain_function_that_returns_a_coroutine() -> None:
    """It is made in a thread and awaited, under its deadline, by the caller (G5)."""

    @deadline(0.2, mode="thread")
    def limited(seconds: float) -> Awaitable[str]:
        return asyncio.sleep(seconds, "value")

    async def main() -> None:
        assert await limited(0) == "value"
        with pytest.raises(DeadlineExceeded):
            await limited(LONG)

    asyncio.run(main())


class TestAwaited:
    """`await limiter.execute(plain_function)` waits without blocking the loop."""

    async def test_a_call_in_time(self) -> None:
        """The function runs in a thread while the loop goes on (D3)."""
        ticks: list[int] = []

        async def tick() -> None:
            while True:
                ticks.append(1)
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        limiter = TimeLimiter(DeadlineConfig(LONG, mode="thread"))

        def work() -> str:
            time.sleep(0.05)
            return threading.current_thread().name

        assert await limiter.execute(work) == "recoup-deadline-1"
        assert len(ticks) > 1
        ticking.cancel()

    async def test_errors_and_coroutines(self) -> None:
        """Errors come out themselves; a coroutine that the function returns is awaited (G3, G5)."""
        limiter = TimeLimiter(DeadlineConfig(LONG, mode="thread"))
        with pytest.raises(ZeroDivisionError):
            await limiter.execute(lambda: 1 / 0)
        assert await limiter.execute(lambda: asyncio.sleep(0, "value")) == "value"

    async def test_too_late(self, release: threading.Event) -> None:
        """The task gets control back on time, and without a free thread a refusal (D3)."""
        limiter = TimeLimiter(DeadlineConfig(0.2, mode="thread", thread_workers=1), name="fetch")
        with pytest.raises(DeadlineExceeded, match="fetch: not finished") as caught:
            await limiter.execute(release.wait, LONG)
        assert (caught.value.started, caught.value.abandoned) == (True, True)
        with pytest.raises(WorkersBusyError):
            await limiter.execute(release.wait, LONG)
        release.set()
        workers = workers_of(limiter)
        eventually(lambda: workers.free() == 1)
        assert await limiter.execute(release.wait, LONG) is True

    async def test_the_caller_cancels(self, release: threading.Event) -> None:
        """A cancelled caller leaves at once; the place comes back when the work ends (D2, D3)."""
        limiter = TimeLimiter(DeadlineConfig(LONG, mode="thread", thread_workers=1))
        task = asyncio.create_task(limiter.execute(release.wait, LONG))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        workers = workers_of(limiter)
        assert workers.free() == 0
        release.set()
        eventually(lambda: workers.free() == 1)

    async def test_recovery_off(self) -> None:
        """With recovery switched off the call runs where it is (G16)."""
        limiter = TimeLimiter(DeadlineConfig(LONG, mode="thread"))
        with disabled():
            assert await limiter.execute(threading.current_thread) is threading.current_thread()


class Clockwork(Workers):
    """Workers that run what they are given when the test says so, or never."""

    def __init__(self) -> None:
        super().__init__(1)
        self.work: Any = None

    def submit(self, work: Any, name: str) -> bool:
        self.work = work
        return True


class TestRaces:
    """Caller and thread meet in the last moment: one of them decides."""

    def test_a_thread_that_never_begins(self) -> None:
        """A call that no thread has begun in time is called off, and that is a refusal (G13)."""
        workers, calls = Clockwork(), []
        job = jobs.ThreadJob(workers, Live(Limit(None, 0.001, "fetch")), lambda: calls.append(1))
        with pytest.raises(DeadlineExceeded, match="before the call could start") as caught:
            job.run()
        assert (caught.value.started, caught.value.abandoned) == (False, False)
        workers.work(lambda: None)
        assert calls == []

    def test_an_outcome_in_the_last_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result that is there when the caller turns to go is returned (D2)."""
        workers = Clockwork()
        job = jobs.ThreadJob(workers, Live(Limit(None, 0.001, "fetch")), lambda: "value")
        late = job._late
        monkeypatch.setattr(job, "_late", lambda term, blamed: (workers.work(lambda: None), late(term, blamed))[1])
        assert job.run() == "value"

    def test_both_let_go(self) -> None:
        """An outcome that comes after the caller has left is thrown away; a coroutine is closed."""
        workers = Clockwork()
        made: list[Any] = []

        def work() -> Any:
            made.append(asyncio.sleep(0))
            return made[0]

        job = jobs.ThreadJob(workers, Live(Limit(None, LONG)), work)
        job._left = True
        waiter = waiting.for_thread()
        job._start(waiter, (), {})
        workers.work(lambda: None)
        assert job._outcome == []
        assert made[0].cr_frame is None  # closed, or there would be a warning
        assert job._taken() is None

    def test_a_coroutine_that_nobody_awaits_any_more(self) -> None:
        """A coroutine that a function under several layers returned too late is closed, without a warning (G5, D3)."""
        made: list[Any] = []
        release = threading.Event()

        async def answer() -> None:
            """Never awaited."""

        @deadline(0.05, mode="thread")
        def work() -> Any:
            release.wait(LONG)
            made.append(answer())
            return made[0]

        with pytest.raises(DeadlineExceeded):
            work()
        release.set()
        eventually(lambda: made and made[0].cr_frame is None)

    async def test_a_task_calls_off_what_no_thread_has_begun(self, clock: VirtualClock) -> None:
        """What was never begun when its task left is not done any more, and that is a refusal (G13, D3)."""
        workers, calls = Clockwork(), []
        waiting_for = pumps.bridging(lambda: calls.append(1), workers, Live(Limit(None, 5, "fetch")))
        with pytest.raises(DeadlineExceeded, match="before the call could start") as caught:
            await waiting_for()
        assert (caught.value.started, caught.value.abandoned) == (False, False)
        workers.work(lambda: None)
        assert calls == []

    async def test_a_task_that_is_cancelled_by_its_caller_calls_it_off_too(self) -> None:
        """The caller's cancellation comes out, and what no thread has begun is not done (D2, D3)."""
        workers, calls = Clockwork(), []
        waiting_for = pumps.bridging(lambda: calls.append(1), workers, Live(Limit(None, LONG, "fetch")))
        task = asyncio.ensure_future(waiting_for())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        workers.work(lambda: None)
        assert calls == []

    def test_work_that_ends_while_its_caller_turns_to_go_blames_nobody_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The deadline to blame is the one that cut the wait, even if the work has closed its own meanwhile (D1)."""
        workers = Clockwork()
        job = jobs.ThreadJob(workers, Live(Limit(None, LONG, "inner")), lambda: "value")
        late = job._late

        def closing(term: Any, blamed: Any) -> Any:
            timing.leave(term)
            job._began()
            return late(term, blamed)

        monkeypatch.setattr(job, "_late", closing)
        outer = timing.enter(Limit(None, 0.01, "outer"))
        try:
            with pytest.raises(DeadlineExceeded, match="outer"):
                job.run()
        finally:
            timing.leave(outer)

    def test_an_interrupted_caller_leaves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C while waiting comes out at once, and the outcome is thrown away (G2)."""

        class Interrupted:
            def wait(self, timeout: float) -> bool:
                workers.work(lambda: None)
                raise KeyboardInterrupt

            def wake(self) -> bool:
                return True

        workers = Clockwork()
        monkeypatch.setattr(waiting, "for_thread", Interrupted)
        job = jobs.ThreadJob(workers, Live(Limit(None, LONG)), lambda: "value")
        with pytest.raises(KeyboardInterrupt):
            job.run()
        assert job._outcome == []


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system has no more threads the call is refused, and the place comes back."""

    @deadline(LONG, mode="thread", thread_workers=1)
    def work() -> str:
        return "value"

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(WorkersBusyError):
            work()
    assert work() == "value"


def test_threads_end_with_their_limiter() -> None:
    """When a limiter is dropped its idle threads end."""
    limiter = deadline(LONG, mode="thread")
    thread = limiter(threading.current_thread)()
    gone = weakref.ref(limiter)
    del limiter
    gc.collect()
    assert gone() is None
    eventually(lambda: not thread.is_alive())


def test_nothing_of_a_call_is_kept() -> None:
    """An idle thread holds neither arguments nor result nor error of its last call (G11)."""

    class Payload:
        pass

    @deadline(LONG, mode="thread")
    def work(payload: Payload, *, fail: bool) -> Payload:
        if fail:
            raise ValueError
        return payload

    work(Payload(), fail=False)  # the thread is there
    gc.collect()
    gc.disable()
    try:
        for fail in (False, True):
            payload = Payload()
            gone = weakref.ref(payload)
            with suppress(ValueError):
                work(payload, fail=fail)
            del payload
            eventually(lambda: gone() is None)  # noqa: B023 - called at once
    finally:
        gc.enable()


def test_a_forked_child_forgets_what_the_parent_does(release: threading.Event) -> None:
    """All places are free in the child, and no thread of the parent's is counted on (G18)."""
    limiter = deadline(0.2, mode="thread", thread_workers=1)

    @limiter
    def work(wait: bool) -> bool:
        return wait and release.wait(LONG)

    assert work(False) is False
    with pytest.raises(DeadlineExceeded):
        work(True)
    workers_of(limiter).after_fork()
    assert workers_of(limiter).free() == 1
    assert work(False) is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_after_a_fork_the_child_has_places_and_threads_of_its_own() -> None:
    """What the parent's threads hold does not count in the child (G18)."""
    code = """
        import os, threading, time, warnings
        from recoup import deadline
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the point of this test
        release = threading.Event()
        work = deadline(0.3, mode="thread", thread_workers=1)(lambda wait: wait and release.wait(30))
        try:
            work(True)
        except TimeoutError:
            pass
        if os.fork() == 0:
            os._exit(7 if work(False) is False else 1)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        release.set()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"


def test_given_up_work_does_not_keep_the_interpreter_from_ending() -> None:
    """Exit is not blocked by an abandoned thread (D3)."""
    code = """
        import time
        from recoup import deadline
        try:
            deadline(0.3, mode="thread")(lambda: time.sleep(60))()
        except TimeoutError as error:
            print(error)
    """
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "not finished within 0.3 s" in done.stdout
    assert done.stderr == ""
    assert time.monotonic() - began < LONG


def test_at_interpreter_shutdown_calls_run_inline() -> None:
    """When the interpreter ends and no thread can be started, a call runs where it is called (D3)."""
    code = """
        import atexit, threading
        from recoup import deadline
        work = deadline(5, mode="thread")(lambda x: (x, threading.current_thread().name))
        @deadline(5, mode="thread")
        def broken():
            raise ValueError("mine")
        print(work(1))
        def at_exit():
            print(work(2))
            try:
                broken()
            except ValueError as error:
                print(error)
        atexit.register(at_exit)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(1, 'recoup-<lambda>-1')", "(2, 'MainThread')", "mine"]
    assert done.stderr == ""
