"""An old result answers at once while one call in the background gets a new one (F6: stale-while-revalidate)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from recoup import Cache, CacheConfig, cached, current_deadline, deadline, events, subscribe
from recoup._core import waiting
from recoup.strategies.cache import background, leading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recoup.testing import VirtualClock
    from tests.conftest import Both

AGES = 10.0  # real seconds after which a test that hangs fails


def refreshing(max_age: float = 100) -> Cache:
    return Cache(CacheConfig(ttl=10, stale_while_revalidate=max_age), name="load")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "recoup-refresh"]


@pytest.fixture
def ended() -> Iterator[Callable[[], None]]:
    """Wait for the refreshing threads to end; none is left by any test."""

    def end() -> None:
        for thread in threads():
            thread.join(AGES)
            assert not thread.is_alive(), "a refresh hangs"

    yield end
    end()


async def test_an_old_result_answers_and_is_refreshed(clock: VirtualClock) -> None:
    """The caller does not wait; one refresh runs, and what comes of it answers from then on (F6)."""
    calls = []
    cache = refreshing()

    @cache
    async def load(key: int) -> str:
        calls.append(key)
        await asyncio.sleep(5)
        return f"{key}: {len(calls)}"

    assert await load(1) == "1: 1"
    await asyncio.sleep(20)
    began = clock.monotonic()
    assert await asyncio.gather(*(load(1) for _ in range(5))) == ["1: 1"] * 5
    assert clock.monotonic() == began
    await asyncio.sleep(1)
    assert await load(1) == "1: 1"
    assert len(calls) == 2
    await asyncio.sleep(5)
    assert await load(1) == "1: 2"
    assert len(calls) == 2
    assert cache._background._tasks == {}


def test_a_plain_function_is_refreshed_in_a_thread(clock: VirtualClock, ended: Callable[[], None]) -> None:
    """The caller gets the old result; a daemon thread gets the new one (F6)."""
    calls: list[str] = []
    go = threading.Event()
    cache = refreshing()

    @cache
    def load(key: int) -> str:
        calls.append(threading.current_thread().name)
        if len(calls) > 1:
            assert threading.current_thread().daemon
            assert go.wait(AGES)
        return f"{key}: {len(calls)}"

    assert load(1) == "1: 1"
    clock.advance(20)
    assert [load(1) for _ in range(5)] == ["1: 1"] * 5
    assert len(threads()) == 1
    go.set()
    ended()
    assert load(1) == "1: 2"
    assert calls[1:] == ["recoup-refresh"]


async def test_too_old_is_too_old(clock: VirtualClock) -> None:
    """After `ttl` and `stale_while_revalidate` callers wait; if a refresh still runs, then for that (F6)."""
    calls = []
    cache = refreshing(5)

    @cache
    async def load() -> int:
        calls.append(1)
        await asyncio.sleep(8)
        return len(calls)

    assert await load() == 1
    await asyncio.sleep(14.9)
    assert await load() == 1  # and a refresh begins
    await asyncio.sleep(0.1)
    assert await asyncio.gather(load(), load()) == [2, 2]
    assert len(calls) == 2
    await asyncio.sleep(15)
    assert await load() == 3


def test_context_is_carried_over_and_deadlines_are_not(
    both: Both, clock: VirtualClock, ended: Callable[[], None]
) -> None:
    """A refresh has the caller's context variables, but is no part of its call and has time of its own (F6, D1)."""
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[Any] = []
    cache = refreshing()

    @both.wrap
    def load() -> int:
        seen.append((tenant.get(), current_deadline() is None, leading.led() != []))
        return len(seen)

    load = cache(load)

    @cached
    @both.wrap
    def outer() -> Any:
        tenant.set("caller")
        return load()

    hurried = deadline(1, mode="cooperative")(outer)

    if both.is_async:

        async def main() -> None:
            await load()
            await both.pause(20)
            await hurried()
            await both.pause(5)

        both.run(main)
    else:
        load()
        clock.advance(20)
        hurried()
        ended()
    assert seen == [("nobody", True, True), ("caller", True, True)]


def test_a_refresh_that_fails(
    both: Both, clock: VirtualClock, ended: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The old result goes on answering; the type of the error is logged, once for each type (F6, G10)."""
    calls = []
    cache = refreshing()

    @cache
    @both.wrap
    def load(secret: str) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise (KeyError if len(calls) == 4 else LookupError)(secret)
        return len(calls)

    async def main() -> None:
        answers.append(await load("hush"))
        for _ in range(3):
            await both.pause(20)
            answers.append(await load("hush"))
            await both.pause(0.001)

    answers: list[int] = []
    if both.is_async:
        both.run(main)
    else:
        for _ in range(4):
            answers.append(load("hush"))
            ended()
            clock.advance(20)
    assert answers == [1, 1, 1, 1]
    assert len(calls) == 4
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "refreshing load in the background failed with LookupError",
        "refreshing load in the background failed with KeyError",
    ]
    assert "hush" not in caplog.text


async def test_errors_of_a_refresh_are_not_kept_before_the_result_is_too_old(clock: VirtualClock) -> None:
    """`negative_ttl` does not turn an old answer into an error (F6)."""
    calls = []
    cache = Cache(CacheConfig(ttl=10, stale_while_revalidate=100, negative_ttl=50))

    @cache
    async def load() -> int:
        calls.append(1)
        if len(calls) > 1:
            raise LookupError
        return 1

    await load()
    await asyncio.sleep(20)
    for _ in range(3):
        assert await load() == 1
        await asyncio.sleep(1)
    assert len(calls) == 4


async def test_a_refresh_outlives_its_caller(clock: VirtualClock) -> None:
    """It is held, and goes on when the caller is cancelled or gone, whatever the collector does (F6)."""
    calls = []
    cache = refreshing()

    @cache
    async def load() -> int:
        calls.append(1)
        await asyncio.get_running_loop().create_future() if len(calls) == 2 else None
        return len(calls)

    await load()
    await asyncio.sleep(20)
    caller = asyncio.create_task(load())
    await asyncio.sleep(1)
    assert await caller == 1
    del caller
    gc.collect()
    assert len(calls) == 2
    [task] = cache._background._tasks
    assert not task.done()
    task.cancel()
    await asyncio.sleep(1)
    assert await load() == 1  # the next one refreshes
    await asyncio.sleep(1)
    assert await load() == 3
    assert cache._background._tasks == {}


def test_a_loop_that_ends_during_a_refresh(clock: VirtualClock, capfd: pytest.CaptureFixture[str]) -> None:
    """The end of the loop ends the refresh, without a word; the next caller refreshes again (F6)."""
    calls = []
    cache = refreshing()

    @cache
    async def load() -> int:
        calls.append(1)
        if len(calls) > 1:
            await asyncio.sleep(1000)
        return len(calls)

    async def main() -> int:
        clock.advance(20)
        found = await load()
        await asyncio.sleep(0)
        return found

    assert asyncio.run(main()) == 1
    assert asyncio.run(main()) == 1
    assert len(calls) == 2
    assert asyncio.run(main()) == 1
    assert len(calls) == 3
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("begun", [True, False])
def test_a_loop_that_is_closed_without_asking(
    clock: VirtualClock, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, begun: bool
) -> None:
    """A loop that is closed over a refresh leaves it neither running nor in anybody's way (F6: never warns)."""
    calls = []
    cache = refreshing(30)

    @cache
    async def load() -> int:
        calls.append(1)
        if len(calls) == 2:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(0)
        return len(calls)

    async def main() -> int:
        found = await load()
        if begun:
            await asyncio.sleep(0)
        return found

    def run_carelessly() -> int:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()

    assert run_carelessly() == 1
    clock.advance(20)
    assert run_carelessly() == 1
    assert len(calls) == 2
    assert len(cache._background._tasks) == 1
    clock.advance(100)  # too old: the next caller would have to wait for the refresh
    assert run_carelessly() == 3
    gc.collect()
    assert cache._background._tasks == {}
    assert capfd.readouterr().err == ""
    assert caplog.records == []


def test_a_thread_that_waits_for_a_refresh_of_a_closed_loop(clock: VirtualClock) -> None:
    """Plain callers sweep as well: what was under way in a closed loop is nobody's any more (F6)."""
    cache = refreshing(5)
    closed = asyncio.new_event_loop()
    run = cache._shelf.look(("other",), 0.0, lambda: pytest.fail("nobody has to wait"))

    async def forever() -> None:
        await asyncio.sleep(1000)

    async def begin() -> None:
        cache._background.spawn(run, forever)  # type: ignore[arg-type]  # a run, as nothing is there
        await asyncio.sleep(0)

    closed.run_until_complete(begin())
    closed.close()
    assert len(cache._background._tasks) == 1
    go = threading.Event()

    @cache
    def load() -> str:
        go.wait(AGES)
        return "result"

    with subscribe(lambda event: go.set() if isinstance(event, events.CacheShared) else None):
        callers = [threading.Thread(target=load) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(AGES)
    assert cache._background._tasks == {}


def test_only_so_many_threads(clock: VirtualClock, ended: Callable[[], None]) -> None:
    """A cache full of old results does not start a thread for each; later hits refresh the others (F6)."""
    go = threading.Event()
    calls: list[int] = []
    cache = refreshing()

    @cache
    def load(key: int) -> int:
        calls.append(key)
        if len(calls) > 20:
            go.wait(AGES)
        return key

    for key in range(20):
        load(key)
    clock.advance(20)
    for key in range(20):
        assert load(key) == key
    most = background._MOST_THREADS
    assert len(threads()) == most
    go.set()
    ended()
    assert len(calls) == 20 + most
    for _ in range(20 // most + 1):
        for key in range(20):
            load(key)
        ended()
    assert sorted(calls[20:]) == list(range(20))


def test_a_forked_child_has_all_threads_to_itself(clock: VirtualClock, ended: Callable[[], None]) -> None:
    """The parent's threads do not exist in the child: they take no room there (G18)."""
    go = threading.Event()
    calls: list[int] = []
    cache = refreshing()

    @cache
    def load(key: int) -> int:
        calls.append(key)
        if len(calls) > 20:
            go.wait(AGES)
        return key

    for key in range(20):
        load(key)
    clock.advance(20)
    for key in range(20):
        load(key)
    waiting._after_fork()  # what the interpreter calls in the child
    for key in range(20):
        load(key)
    assert len(threads()) == 2 * background._MOST_THREADS
    go.set()
    ended()
    assert len(cache._background._places) == background._MOST_THREADS


def test_no_thread_to_be_had(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, ended: Callable[[], None]) -> None:
    """Where no thread can be started (the interpreter ends) the old result answers, and the key stays free (F6)."""
    calls: list[int] = []
    cache = refreshing()

    @cache
    def load() -> int:
        calls.append(1)
        return len(calls)

    load()
    clock.advance(20)
    with monkeypatch.context() as patch:

        def refuse(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread at interpreter shutdown")

        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2 * background._MOST_THREADS):
            assert load() == 1
    assert calls == [1]
    assert load() == 1
    ended()
    assert load() == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_refresh_that_is_interrupted(
    both: Both, clock: VirtualClock, ended: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Control flow in a refresh goes where it goes, and leaves the key free (G2)."""
    calls: list[int] = []
    cache = refreshing()

    @cache
    @both.wrap
    def load() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit
        return len(calls)

    if both.is_async:

        async def main() -> Any:
            answer = await load()
            await both.pause(0.001)
            return answer

        both.run(main)
        clock.advance(20)
        with pytest.raises(trio.TrioInternalError if both.library == "trio" else SystemExit):
            both.run(main)  # whatever a system task of Trio raises comes out like that
        gc.collect()
        assert caplog.records == []
        assert both.run(main) == 1
        assert both.run(main) == 3
    else:
        load()
        clock.advance(20)
        assert load() == 1
        ended()
        assert load() == 1
        ended()
        assert load() == 3


def test_a_caller_without_a_loop(clock: VirtualClock) -> None:
    """A coroutine that is stepped by hand gets the old result; somebody with a loop will refresh it (F6)."""
    calls: list[int] = []
    cache = refreshing()

    @cache
    async def load() -> int:
        calls.append(1)
        return len(calls)

    def step() -> int:
        with pytest.raises(StopIteration) as end:
            load().send(None)
        return int(end.value.value)

    assert step() == 1
    clock.advance(20)
    assert [step(), step()] == [1, 1]

    async def main() -> list[int]:
        old = await load()
        await asyncio.sleep(0)
        return [old, await load()]

    assert asyncio.run(main()) == [1, 2]


async def test_listeners_hear_of_old_answers(clock: VirtualClock) -> None:
    """An old answer is a hit with its age, marked as stale."""
    cache = refreshing()

    @cache
    async def load() -> int:
        await asyncio.sleep(1)
        return 1

    await load()
    await asyncio.sleep(20)
    seen: list[events.Event] = []
    with subscribe(seen.append):
        await load()
        await load()
    assert seen == [events.CacheHit("load", 20.0, stale=True)] * 2


SCRIPT = """
import asyncio, time
from recoup import cached

calls = []

@cached(0.001, stale_while_revalidate=1000)
async def load():
    calls.append(1)
    if len(calls) > 1:
        await asyncio.sleep(1000)
    return len(calls)

@cached(0.001, stale_while_revalidate=1000)
def load_plain():
    calls.append(1)
    if len(calls) > 3:
        time.sleep(1000)
    return len(calls)

async def main():
    await load(); time.sleep(0.002); await load(); await asyncio.sleep(0)

LOOP
load_plain(); time.sleep(0.002); load_plain()
print("done", len(calls))
"""


@pytest.mark.parametrize("loop", ["asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())"])
def test_the_interpreter_ends_in_the_middle_of_refreshes(loop: str) -> None:
    """Neither a task nor a thread that refreshes holds up the end of the program, or is heard of at it (F6)."""
    quiet = ["-W", "error", "-W", "ignore::ResourceWarning"]  # the second loop is not closed, which asyncio minds
    done = subprocess.run(
        [sys.executable, *quiet, "-c", SCRIPT.replace("LOOP", loop)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done 4\n", "", 0)


def test_logging_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """What is logged is a warning of the logger `recoup`."""
    Cache(name="load")._lost("LookupError")
    assert [(record.name, record.levelno) for record in caplog.records] == [("recoup", logging.WARNING)]


def test_what_was_logged_is_remembered_in_bounds(caplog: pytest.LogCaptureFixture) -> None:
    """Error types without end do not fill the memory."""
    cache = Cache(name="load")
    for number in range(1000):
        cache._lost(f"Error{number}")
    assert len(cache._told) == len(caplog.records) == 100
