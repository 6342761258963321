"""`use_thread_pool`: plain functions in threads of the bulkhead's own (B3, B4, G5, G11, G18, D1)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFullError,
    BulkheadTimeoutError,
    DeadlineExceeded,
    bulkhead,
    current_deadline,
    deadline,
    retry,
)
from recoup.strategies.bulkhead.pool import Pool
from recoup.testing import disabled
from tests.strategies.bulkhead.patience import until, until_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Both

ambient: contextvars.ContextVar[str] = contextvars.ContextVar("ambient", default="unset")


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 2, "thread_pool_size": 2, "use_thread_pool": True, **options}))


def run(both: Both, guard: Bulkhead, function: Callable[..., Any], *args: Any) -> Any:
    """Execute a plain function, for a plain caller or an async one."""
    return both.execute(guard, function, *args)


def returning(function: Callable[[], Any]) -> Any:
    """Look like a plain function."""
    return function()


def name() -> str:
    return threading.current_thread().name


def test_a_plain_function_runs_in_a_thread_of_the_bulkhead(both: Both) -> None:
    """Arguments, result and name are right; the thread is used again (B4)."""
    guard = Bulkhead(BulkheadConfig(use_thread_pool=True), name="io")
    assert [run(both, guard, name) for _ in range(3)] == ["io-1"] * 3
    assert run(both, guard, sorted, [2, 1]) == [1, 2]
    assert guard.metrics == {"executed": 4, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


def test_a_decorated_plain_function_runs_there_too() -> None:
    """The caller waits for it."""

    @bulkhead(use_thread_pool=True, name="io")
    def work(a: int, *, b: int) -> tuple[str, int]:
        return name(), a + b

    assert work(1, b=2) == ("io-1", 3)


async def test_coroutine_functions_stay_on_the_loop() -> None:
    """Decorated or executed, an async function runs in its loop's thread (B4)."""
    guard = made()

    async def work() -> str:
        return name()

    assert await guard.execute(work) == name()
    assert await guard(work)() == name()


def test_an_error_comes_out_itself(both: Both) -> None:
    """Same object, no context, whatever it is (G3)."""
    guard = made()
    for error in (ValueError("mine"), KeyboardInterrupt() if not both.is_async else LookupError()):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)) as found:
            run(both, guard, fail)
        assert found.value is error
        assert (error.__context__, error.__cause__) == (None, None)
    assert guard.running == 0


def test_no_more_threads_than_allowed(both: Both) -> None:
    """`thread_pool_size` bounds the plain functions, however many places there are (B4)."""
    guard = made(max_concurrent=10, thread_pool_size=2)
    inside, most = [], []
    meeting = threading.Barrier(2)  # each call ends only with another one: no fewer than two run

    def work() -> None:
        inside.append(1)
        most.append(len(inside))
        meeting.wait(10)
        inside.pop()

    if both.is_async:

        async def main() -> None:
            await asyncio.gather(*(guard.execute(work) for _ in range(20)))

        asyncio.run(main())
    else:
        threads = [threading.Thread(target=guard.execute_sync, args=(work,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(most) == 2
    assert guard.metrics == {"executed": 20, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 2}


def test_context_variables_are_carried_over(both: Both) -> None:
    """The function sees its caller's context, and what it sets there stays its own (B4)."""
    guard = made()

    def look() -> str:
        seen = ambient.get()
        ambient.set("changed")
        return seen

    token = ambient.set("caller's")
    try:
        assert run(both, guard, look) == "caller's"
        assert ambient.get() == "caller's"
    finally:
        ambient.reset(token)


def test_the_deadline_is_carried_over(both: Both) -> None:
    """The function in its thread knows how much time is left (D1)."""
    guard = made()

    def left() -> Any:
        found = current_deadline()
        return found is not None and 0 < found.remaining() <= 60

    if both.is_async:

        @deadline(60)
        async def limited() -> Any:
            return await guard.execute(left)
    else:
        limited: Any = deadline(60, mode="cooperative")(lambda: guard.execute_sync(left))  # type: ignore[no-redef]
    assert both.call(limited) is True


class Busy:
    """Work that a thread of a bulkhead does until it is released."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.end.wait(10)
        return "done"


async def test_a_caller_that_leaves_does_not_free_the_place() -> None:
    """The work goes on, and its place is taken until it ends (B3)."""
    guard = made(max_concurrent=1, max_queue_size=0)
    busy = Busy()
    task = asyncio.create_task(guard.execute(busy))
    await asyncio.to_thread(busy.begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guard.running == 1
    with pytest.raises(BulkheadFullError):
        await guard.execute(name)
    busy.end.set()
    await until_async(lambda: not guard.running)
    assert await guard.execute(len, "abc") == 3


async def test_a_deadline_frees_the_caller_but_not_the_place() -> None:
    """The caller gets `DeadlineExceeded` in time; the thread keeps the place until it is done (B3, D2)."""
    guard = made(max_concurrent=1)
    busy = Busy()

    @deadline(0.05)
    async def limited() -> Any:
        return await guard.execute(busy)

    with pytest.raises(DeadlineExceeded) as found:
        await limited()
    assert found.value.started is True
    assert guard.running == 1
    busy.end.set()
    await until_async(lambda: not guard.running)


def test_ctrl_c_frees_the_caller_but_not_the_place() -> None:
    """A plain caller that is interrupted leaves; the place comes back when the work ends (B3)."""
    guard = made(max_concurrent=1)
    busy = Busy()
    main = threading.get_ident()
    left = threading.Event()

    def work() -> str:
        while not left.wait(0.001):  # one that comes right before the lock is waited for would not end the wait
            signal.pthread_kill(main, signal.SIGALRM)
        return busy()

    def interrupt(*_: object) -> None:
        if not left.is_set():
            left.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            guard.execute_sync(work)
    finally:
        busy.begun.wait(10)  # no signal is on its way any more, which would end the process
        signal.signal(signal.SIGALRM, before)
    assert guard.running == 1
    busy.end.set()
    assert guard.execute_sync(len, "abc") == 3


@pytest.mark.parametrize("limit", ["threads", "places"])
def test_waiting_for_a_thread_is_waiting_in_the_queue(both: Both, limit: str) -> None:
    """Refusal and time limit are the same whether a place or a thread is missing; the function never runs (B2, B4)."""
    few = {"thread_pool_size": 1} if limit == "threads" else {"max_concurrent": 1}
    guard = made(max_queue_size=1, queue_timeout=0.02, **few)
    busy = Busy()
    other = threading.Thread(target=guard.execute_sync, args=(busy,))
    other.start()
    assert busy.begun.wait(10)
    with pytest.raises(BulkheadTimeoutError, match="no place within"):
        run(both, guard, pytest.fail)
    busy.end.set()
    other.join()
    assert run(both, guard, len, "abc") == 3
    assert guard.metrics["timeout"] == 1


def test_a_plain_function_that_returns_a_coroutine_to_an_async_caller() -> None:
    """The coroutine is awaited on the caller's loop, and the place is held until it has ended (B3, G5)."""
    guard = made()

    async def work() -> tuple[str, int]:
        await asyncio.sleep(0)
        return name(), guard.running

    async def main() -> None:
        assert await guard.execute(returning, work) == (name(), 1)
        assert guard.running == 0
        hidden: Any = guard(partial(returning, work))
        assert await hidden() == (name(), 1)
        assert guard.running == 0

    asyncio.run(main())


async def test_a_caller_that_leaves_before_it_gets_its_coroutine() -> None:
    """A coroutine that nobody will await is closed, and the place comes back (B3)."""
    guard = made(max_concurrent=1)
    busy = Busy()

    async def work() -> None:
        pytest.fail("nobody awaits it")

    def late() -> Any:
        busy()
        return work()

    task = asyncio.create_task(guard.execute(late))
    await asyncio.to_thread(busy.begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    busy.end.set()
    await until_async(lambda: not guard.running)


async def test_a_caller_that_leaves_when_its_coroutine_is_there_already() -> None:
    """Cancelled in the tick in which the thread has finished, the coroutine is closed all the same (B3)."""
    guard = made(max_concurrent=1)
    made_it = threading.Event()

    async def work() -> None:
        pytest.fail("nobody awaits it")

    def quick() -> Any:
        coroutine = work()
        made_it.set()
        return coroutine

    task = asyncio.create_task(guard.execute(quick))
    await asyncio.sleep(0)
    assert made_it.wait(10)
    until(lambda: guard._pool is not None and guard._pool._idle)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_async(lambda: not guard.running)


def test_a_loop_that_is_closed_before_the_thread_is_done() -> None:
    """Nobody is there to take the outcome: the place comes back, and a coroutine is closed (B3)."""
    guard = made(max_concurrent=1)
    busy = Busy()

    async def work() -> None:
        pytest.fail("nobody awaits it")

    def late() -> Any:
        busy()
        return work()

    loop = asyncio.new_event_loop()

    async def begin() -> Any:
        task = asyncio.ensure_future(guard.execute(late))
        await asyncio.to_thread(busy.begun.wait)
        return task

    task = loop.run_until_complete(begin())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    task._log_destroy_pending = False  # this is what the test is about
    assert guard.running == 1
    busy.end.set()
    until(lambda: not guard.running)
    del task
    gc.collect()


def test_switched_off(both: Both) -> None:
    """With recovery off a call takes no place, and still runs in a thread (G16)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0, thread_pool_size=1, use_thread_pool=True))
    with guard, disabled():
        assert run(both, guard, name).startswith("bulkhead-")
    assert guard.metrics["executed"] == 1


def threads_of(guard_name: str) -> int:
    return sum(thread.name.startswith(f"{guard_name}-") for thread in threading.enumerate())


def test_a_thread_too_many_goes_home() -> None:
    """Calls without a place may need more threads than the pool keeps; those end afterwards (G16)."""
    config = BulkheadConfig(max_concurrent=1, thread_pool_size=1, use_thread_pool=True)
    guard = Bulkhead(config, name="too-many")
    busy = [Busy(), Busy()]
    with disabled():
        callers = [threading.Thread(target=contextvars.copy_context().run, args=(guard.execute_sync, b)) for b in busy]
        for caller, b in zip(callers, busy, strict=True):
            caller.start()
            assert b.begun.wait(10)
        assert threads_of("too-many") == 2
        for caller, b in zip(callers, busy, strict=True):
            b.end.set()
            caller.join()
    until(lambda: threads_of("too-many") == 1)


def test_generators_are_refused() -> None:
    """Their steps belong to the consumer's thread; the message says what to do (G5)."""

    def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"use_thread_pool cannot run .*numbers', a generator, .* return a list"):
        made()(numbers)


async def test_async_generators_stay_on_the_loop() -> None:
    """They are no plain functions."""

    @bulkhead(use_thread_pool=True)
    async def names() -> Any:
        yield name()

    assert [each async for each in names()] == [name()]


def test_inside_a_stack(both: Both) -> None:
    """A retry outside repeats what fails in the thread (G14)."""
    guard = made()
    answers: list[Any] = [OSError(), "ok"]

    def flaky() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer, name()

    layered = retry(initial_delay=0)(guard(flaky))
    if both.is_async:
        assert asyncio.run(retry(initial_delay=0).execute(layered))[0] == "ok"
    else:
        assert layered()[0] == "ok"
    assert guard.metrics["executed"] == 2


def test_threads_end_with_their_bulkhead() -> None:
    """An idle thread holds nothing, and goes when the bulkhead goes (B4)."""
    guard = Bulkhead(BulkheadConfig(use_thread_pool=True), name="short-lived")
    assert guard.execute_sync(len, "") == 0
    gone = weakref.ref(guard)
    assert threads_of("short-lived") == 1
    del guard
    gc.collect()
    assert gone() is None
    until(lambda: threads_of("short-lived") == 0)


def test_a_failed_call_keeps_nothing_alive(both: Both) -> None:
    """No cycle and no idle thread holds arguments, results or errors (G11)."""
    guard = made()

    class Local:
        pass

    def fail(local: Local) -> None:
        raise ValueError

    def attempt() -> weakref.ref[Local]:
        local = Local()
        with pytest.raises(ValueError, match=r"^$"):
            guard.execute_sync(fail, local)
        assert guard.execute_sync(id, local) == id(local)
        return weakref.ref(local)

    async def attempt_async() -> weakref.ref[Local]:
        local = Local()
        with contextlib.suppress(ValueError):
            await guard.execute(fail, local)
        assert await guard.execute(id, local) == id(local)
        return weakref.ref(local)

    gc.disable()
    try:
        held = both.call(attempt_async if both.is_async else attempt)
        until(lambda: held() is None)  # the thread drops its job after it has answered
    finally:
        gc.enable()


def test_no_more_threads_to_be_had(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system has no more threads the error comes out, and the place comes back (B3)."""
    guard = made(max_concurrent=1)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            run(both, guard, name)
    assert guard.running == 0
    assert run(both, guard, len, "abc") == 3


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupt_while_work_is_handed_over(both: Both, begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs keeps its place to its end, what has not begun never runs: whenever Ctrl-C comes (G2, B3)."""
    guard = made(max_concurrent=1)
    work = Busy()
    jobs: list[Callable[[], None]] = []
    submit = Pool.submit

    def submit_and_interrupt(self: Pool, job: Any, name: str) -> None:
        if begun:
            submit(self, job, name)
            assert work.begun.wait(10)
        else:
            jobs.append(lambda: submit(self, job, name))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Pool, "submit", submit_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(both, guard, work)
    assert guard.running == begun
    for job in jobs:
        job()
    work.end.set()
    until(lambda: not guard.running)
    pool = guard._pool
    assert pool is not None
    until(lambda: len(pool._idle) == 1)
    assert work.begun.is_set() is begun
    assert run(both, guard, len, "abc") == 3


def test_a_forked_child_starts_its_own_threads() -> None:
    """The parent's threads are not there, and nobody waits for them (G18)."""
    guard = made()
    assert guard.execute_sync(len, "abc") == 3
    child = os.fork()
    if not child:
        signal.alarm(10)
        os._exit(guard.execute_sync(len, "abcd"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    assert guard.execute_sync(len, "abc") == 3


def script(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=30, check=False)


def test_work_that_goes_on_does_not_keep_the_interpreter() -> None:
    """A caller that left, and a thread that sleeps for an hour: the program ends at once (B4)."""
    ended = script(
        "import asyncio, time\n"
        "from recoup import bulkhead, deadline\n"
        "guard = bulkhead(use_thread_pool=True)\n"
        "async def main():\n"
        "    try:\n"
        "        await asyncio.wait_for(guard.execute(time.sleep, 3600), 0.1)\n"
        "    except TimeoutError:\n"
        "        print('left', guard.running)\n"
        "asyncio.run(main())\n"
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("left 1\n", "", 0)


def test_at_the_end_of_the_interpreter_work_runs_in_place() -> None:
    """When no thread can be started any more, the function runs in its caller's (D3)."""
    ended = script(
        "import atexit, threading\n"
        "from recoup import bulkhead\n"
        "guard = bulkhead(use_thread_pool=True)\n"
        "def refuse(self): raise RuntimeError('no new thread at interpreter shutdown')\n"
        "def late():\n"
        "    threading.Thread.start = refuse\n"
        "    print(guard.execute_sync(len, 'abc'), guard.running)\n"
        "atexit.register(late)\n"
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("3 0\n", "", 0)


def test_no_thread_to_be_had_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same inside this process, for a plain caller and an async one (D3)."""
    guard = made(max_concurrent=1)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    async def main() -> str:
        return await guard.execute(name)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(threading.main_thread(), "is_alive", lambda: False)
        assert guard.execute_sync(name) == name()
        assert asyncio.run(main()) == name()
    assert guard.running == 0


def test_a_pool_forgets_its_threads_in_a_child() -> None:
    """What `after_fork` does, in this process (G18)."""
    pool = Pool(1)
    done = threading.Event()

    def job(inbox: Any) -> None:
        pool.rest(inbox)
        done.set()

    pool.submit(job, "a")
    assert done.wait(10)
    [idle] = pool._idle
    pool.after_fork()
    assert not pool._idle
    idle.put(None)


def test_a_pool_keeps_as_many_as_its_size() -> None:
    """Idle threads above the size are sent home (B4)."""
    pool = Pool(1)
    seen: list[Any] = []
    done = threading.Event()

    def job(inbox: Any) -> None:
        seen.append(inbox)
        if len(seen) == 2:
            done.set()

    pool.submit(job, "a")
    pool.submit(job, "b")
    assert done.wait(10)
    pool.rest(seen[0])
    pool.rest(seen[1])
    pool.rest(None)
    assert len(pool._idle) == 1
