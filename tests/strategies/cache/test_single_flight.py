"""Any number of equal calls at the same time make one call of the function (F6; G2, G3, G7, G11)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

from recoup import Cache, CacheConfig, DeadlineExceeded, cached, deadline, events, subscribe
from recoup.errors import is_refusal
from recoup.strategies.cache import leading
from recoup.strategies.cache.run import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recoup.testing import VirtualClock

AGES = 10.0  # real seconds after which a test that hangs fails


class Sharing:
    """Counts those who stand in line, so that a test can wait for them."""

    def __init__(self) -> None:
        self._arrived = threading.Semaphore(0)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.CacheShared):
            self._arrived.release()

    def wait_for(self, number: int) -> None:
        for _ in range(number):
            assert self._arrived.acquire(timeout=AGES), "nobody waits"


@pytest.fixture
def sharing() -> Iterator[Sharing]:
    listener = Sharing()
    with subscribe(listener):
        yield listener


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Run functions in threads of their own; give what they returned or raised."""
    outcomes: list[Any] = [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        try:
            outcomes[place] = work()
        except BaseException as error:  # noqa: BLE001 - it is an outcome
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(AGES)
        assert not thread.is_alive(), "a thread hangs"
    return outcomes


class Held:
    """A function that returns when it is told, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.outcome: Any = "result"

    def load(self, key: object = None) -> object:
        self.calls += 1
        self.begun.release()
        assert self.go.wait(AGES)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def nothing_left(cache: Cache) -> bool:
    """Tell whether nothing is under way in a cache, once its next change has tidied up."""
    cache._shelf.store.put(("tidy",), Hit("tidy", 0.0))
    cache._shelf.store.forget(("tidy",))
    slots = [slot for row in cache._shelf.store.rows.values() for slot in row]
    return all(slot.busy is None and slot.entry is not None for slot in slots) and leading.led() == []


def test_twenty_threads_make_one_call(sharing: Sharing) -> None:
    """A cold key with 20 callers is one call, whose result all get (F6)."""
    held, cache = Held(), Cache()
    load = cache(held.load)

    def leader() -> Any:
        return load(1)

    def release() -> None:
        sharing.wait_for(19)
        held.go.set()

    outcomes = in_threads(*[leader] * 20, release)
    assert outcomes[:-1] == ["result"] * 20
    assert held.calls == 1
    assert nothing_left(cache)


async def test_twenty_tasks_make_one_call(clock: VirtualClock) -> None:
    """The same for tasks of one loop (F6)."""
    calls = []
    cache = Cache()

    @cache
    async def load(key: int) -> str:
        calls.append(key)
        await asyncio.sleep(1)
        return f"{key}"

    assert await asyncio.gather(*(load(number % 2) for number in range(20))) == ["0", "1"] * 10
    assert calls == [0, 1]
    assert nothing_left(cache)


def test_tasks_of_several_loops_make_one_call(sharing: Sharing) -> None:
    """Loops in several threads wait for one another's calls (G7)."""
    calls = []
    begun, go = threading.Event(), threading.Event()
    cache = Cache()

    @cache
    async def load(key: int) -> str:
        calls.append(key)
        begun.set()
        while not go.is_set():  # noqa: ASYNC110 - it is an event of threads
            await asyncio.sleep(0)
        return "result"

    def loop() -> Any:
        async def main() -> Any:
            return await asyncio.gather(*(load(1) for _ in range(5)))

        return asyncio.run(main())

    def release() -> None:
        assert begun.wait(AGES)
        sharing.wait_for(19)
        go.set()

    outcomes = in_threads(*[loop] * 4, release)
    assert outcomes[:-1] == [["result"] * 5] * 4
    assert calls == [1]
    assert nothing_left(cache)


def test_each_waiter_gets_a_copy_of_the_error(sharing: Sharing) -> None:
    """The caller whose call failed gets the error itself, the others a copy each, with its traceback (G3)."""
    held, cache = Held(), Cache()
    held.outcome = error = LookupError("gone")
    load = cache(held.load)

    def attempt() -> BaseException:
        try:
            load(1)
        except LookupError as caught:
            caught.add_note(threading.current_thread().name)
            return caught
        raise AssertionError("it did not fail")

    def release() -> None:
        sharing.wait_for(4)
        held.go.set()

    *caught, _ = in_threads(*[attempt] * 5, release)
    assert held.calls == 1
    assert len({id(each) for each in caught}) == 5
    assert [each is error for each in caught].count(True) == 1
    for each in caught:
        assert type(each) is LookupError
        assert each.args == ("gone",)
        assert each.__context__ is None
        assert each.__cause__ is None
        assert len(each.__notes__) == 1
        trace = each.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert trace is not None
        assert trace.tb_frame.f_code is Held.load.__code__
    assert nothing_left(cache)


async def test_the_next_call_after_an_error_is_made(clock: VirtualClock) -> None:
    """An error is shared by those who waited for it, not by those who come later (F6)."""
    calls = []

    @cached
    async def load() -> None:
        calls.append(1)
        await asyncio.sleep(1)
        raise LookupError(len(calls))

    first = await asyncio.gather(*(load() for _ in range(3)), return_exceptions=True)
    second = await asyncio.gather(*(load() for _ in range(3)), return_exceptions=True)
    assert [error.args for error in first + second] == [(1,)] * 3 + [(2,)] * 3  # type: ignore[union-attr]


async def test_a_cancelled_leader_promotes_a_follower(clock: VirtualClock) -> None:
    """Whoever waits is not lost with the one who called: one of them calls, the others wait on (F6, G2)."""
    calls = []
    cache = Cache()

    @cache
    async def load() -> str:
        calls.append(clock.monotonic())
        await asyncio.sleep(10)
        return f"call {len(calls)}"

    began = clock.monotonic()
    leader = asyncio.create_task(load())
    await asyncio.sleep(1)
    followers = [asyncio.create_task(load()) for _ in range(5)]
    await asyncio.sleep(1)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert await asyncio.gather(*followers) == ["call 2"] * 5
    assert [moment - began for moment in calls] == [0, 2]
    assert nothing_left(cache)


async def test_a_chain_of_cancelled_leaders(clock: VirtualClock) -> None:
    """Each leader that is cancelled is followed by another, down to the last (G2)."""
    calls = []
    cache = Cache()

    @cache
    async def load() -> str:
        calls.append(asyncio.current_task())
        await asyncio.sleep(10)
        return "result"

    tasks = [asyncio.create_task(load()) for _ in range(5)]
    for number in range(4):
        await asyncio.sleep(1)
        assert len(calls) == number + 1
        last = calls[-1]
        assert last is not None
        last.cancel()
    await asyncio.sleep(1)
    assert len(calls) == 5
    assert await asyncio.gather(*tasks, return_exceptions=True) != []
    assert [task.cancelled() for task in tasks].count(False) == 1
    assert next(task.result() for task in tasks if not task.cancelled()) == "result"
    assert nothing_left(cache)


async def test_everybody_cancelled(clock: VirtualClock) -> None:
    """Nothing is left of a call that nobody wants any more, and the next one is made (G2)."""
    calls = []
    cache = Cache()

    @cache
    async def load() -> str:
        calls.append(1)
        await asyncio.sleep(10)
        return "result"

    tasks = [asyncio.create_task(load()) for _ in range(3)]
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [asyncio.CancelledError] * 3
    assert nothing_left(cache)
    assert cache._shelf.store.rows == {}
    assert await load() == "result"
    assert len(calls) == 2


async def test_leader_and_follower_cancelled_in_the_same_tick(clock: VirtualClock) -> None:
    """A follower that is promoted and cancelled at once does not take the lead with it (G2)."""
    cache = Cache()
    calls = []

    @cache
    async def load() -> str:
        calls.append(1)
        await asyncio.sleep(10)
        return "result"

    tasks = [asyncio.create_task(load()) for _ in range(4)]
    await asyncio.sleep(1)
    for task in tasks[:3]:
        task.cancel()
    assert await tasks[3] == "result"
    assert len(calls) == 2
    assert nothing_left(cache)


async def test_a_follower_is_cancelled_alone(clock: VirtualClock) -> None:
    """A follower honours its own cancellation at once, and the call goes on for the others (F6)."""
    cache = Cache()

    @cache
    async def load() -> str:
        await asyncio.sleep(10)
        return "result"

    leader = asyncio.create_task(load())
    await asyncio.sleep(0)
    began = clock.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(load(), 1)
    assert clock.monotonic() - began == 1
    assert await leader == "result"
    assert nothing_left(cache)


def test_a_leader_that_is_interrupted(sharing: Sharing) -> None:
    """Control flow in a thread that calls promotes a thread that waits (G2)."""
    held, cache = Held(), Cache()
    outcomes = iter([SystemExit(), "second"])

    def call(key: int) -> Any:
        held.calls += 1
        held.begun.release()
        held.go.wait(AGES)
        outcome = next(outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    load = cache(call)

    def release() -> None:
        sharing.wait_for(3)
        held.go.set()

    *found, _ = in_threads(*[lambda: load(1)] * 4, release)
    assert sorted(map(str, found)) == ["", "second", "second", "second"]
    assert held.calls == 2
    assert nothing_left(cache)


class Step:
    """An await that is stepped by hand."""

    def __await__(self) -> Any:
        return (yield self)


def test_cancelled_at_every_await() -> None:
    """Wherever a caller is cancelled, stepped by hand, the others get their answer and nothing is left (G2)."""
    for victim in range(3):
        for steps in range(1, 4):
            cache = Cache()
            calls = []

            @cache
            async def load() -> str:
                calls.append(1)  # noqa: B023 - used within the turn
                await Step()
                await Step()
                return "result"

            async def main() -> list[Any]:
                """Three callers in a loop of their own, one of which is cancelled after some steps."""
                tasks = [asyncio.create_task(drive(load())) for _ in range(3)]
                for _ in range(steps):  # noqa: B023 - as above
                    await asyncio.sleep(0)
                tasks[victim].cancel()  # noqa: B023 - as above
                return await asyncio.gather(*tasks, return_exceptions=True)

            outcomes = asyncio.run(main())
            others = [each for place, each in enumerate(outcomes) if place != victim]
            assert others == ["result", "result"], (victim, steps)
            assert len(calls) <= 2
            assert nothing_left(cache)


async def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Step a coroutine: its own awaits take one turn of the loop, those of asyncio are asyncio's."""

    class Driver:
        def __await__(self) -> Any:
            value = None
            while True:
                try:
                    waited = coroutine.send(value)
                except StopIteration as end:
                    return end.value
                try:
                    value = yield (None if isinstance(waited, Step) else waited)
                except BaseException as error:  # noqa: BLE001 - thrown into the coroutine
                    waited = coroutine.throw(error)
                    assert waited is None

    return await Driver()


def test_a_coroutine_that_is_dropped() -> None:
    """A leader that nobody awaits any more gives the lead back when it is collected (G2)."""
    cache = Cache()
    calls = []

    @cache
    async def load() -> str:
        calls.append(1)
        if len(calls) == 1:
            await Step()
        return "result"

    leader = load()
    leader.send(None)
    del leader
    gc.collect()
    assert leading.led() == []
    assert asyncio.run(load()) == "result"
    assert len(calls) == 2
    assert nothing_left(cache)


def test_a_lead_that_is_lost_comes_back() -> None:
    """An interrupt between two bytecodes may lose a lead; the collector brings it back (G2)."""
    cache = Cache()
    keys = cache._shelf
    run = keys.look(("a",), 0.0, lambda: pytest.fail("nobody has to wait"))
    assert run is not None
    assert run.leads  # type: ignore[union-attr]  # a run, as nothing is there
    del run
    assert leading.led() == []
    again = keys.look(("a",), 0.0, lambda: pytest.fail("nobody has to wait"))
    assert again is not None
    assert again.leads  # type: ignore[union-attr]  # as above
    again.abandoned()  # type: ignore[union-attr]  # as above
    assert nothing_left(cache)


def test_a_call_inside_the_same_call_goes_through() -> None:
    """A function that calls itself with the same arguments calls through, as it would without a cache (F6)."""
    cache = Cache()
    depths = []

    @cache
    def load(key: int, depth: int = 0) -> int:
        depths.append(key)
        return load(key) if len(depths) < 3 else 7

    assert load(1) == 7
    assert depths == [1, 1, 1]
    assert load(1) == 7
    assert depths == [1, 1, 1]
    assert nothing_left(cache)


def test_a_call_inside_goes_through_after_another_call_inside() -> None:
    """What is led outside still counts when something led inside is over, failed or found (F6, G16)."""
    cache = Cache()
    calls = []

    @cache
    def load(key: str) -> str:
        calls.append(key)
        if key == "outer" and calls.count(key) == 1:
            for inner in ("inner", "fails", "inner"):
                with contextlib.suppress(LookupError):
                    load(inner)
            assert len(leading.led()) == 1
            return load("outer")
        if key == "fails":
            raise LookupError
        return key

    assert load("outer") == "outer"
    assert calls == ["outer", "inner", "fails", "outer"]
    assert nothing_left(cache)


def test_recursion_with_other_arguments_is_cached() -> None:
    """Each number of Fibonacci's is worked out once."""
    worked_out = []

    @cached
    def fibonacci(n: int) -> int:
        worked_out.append(n)
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(30) == 832040
    assert len(worked_out) == 31


async def test_a_call_from_a_child_task_of_the_same_call(clock: VirtualClock) -> None:
    """A leader that awaits a task which makes the same call does not wait for itself (F6)."""
    calls = []
    cache = Cache()

    @cache
    async def load(key: int) -> str:
        calls.append(key)
        if len(calls) == 1:
            results = await asyncio.gather(load(key), asyncio.to_thread(asyncio.run, load(key)))
            return "/".join(results)
        return f"call {len(calls)}"

    assert await load(1) == "call 2/call 3"
    assert await load(1) == "call 2/call 3"
    assert nothing_left(cache)


async def test_two_calls_that_wait_for_each_other(clock: VirtualClock) -> None:
    """Where waiting would be for ever, one of them calls through (F6)."""
    cache = Cache()
    calls = []

    @cache
    async def load(key: str) -> str:
        calls.append(key)
        if calls.count(key) > 1:
            return key
        await asyncio.sleep(1)
        return key + await load("b" if key == "a" else "a")

    assert sorted(await asyncio.gather(load("a"), load("b"))) in (["ab", "ba"], ["ab", "bab"], ["aba", "ba"])
    assert len(calls) == 3
    assert nothing_left(cache)


async def test_a_circle_of_three(clock: VirtualClock) -> None:
    """The same round any number of corners (F6)."""
    cache = Cache()
    calls = []

    @cache
    async def load(key: int) -> str:
        calls.append(key)
        if calls.count(key) > 1:
            return f"{key}"
        await asyncio.sleep(1 + key)
        return f"{key}{await load((key + 1) % 3)}"

    results = await asyncio.wait_for(asyncio.gather(load(0), load(1), load(2)), 60)
    assert len(results) == 3
    assert len(calls) == 4
    assert nothing_left(cache)


def test_two_threads_that_wait_for_each_other() -> None:
    """The same for threads."""
    cache = Cache()
    both = threading.Barrier(2)
    calls: list[str] = []

    @cache
    def load(key: str) -> str:
        calls.append(key)
        if calls.count(key) > 1:
            return key
        both.wait(AGES)
        return key + load("b" if key == "a" else "a")

    one, other = in_threads(*(functools.partial(load, key) for key in "ab"))
    assert {one[0], other[0]} == {"a", "b"}
    assert len(calls) in (3, 4)  # both may notice
    assert nothing_left(cache)


async def test_a_background_task_waits_again_when_its_parent_is_over(clock: VirtualClock) -> None:
    """What a task inherits counts only while it lasts (G16)."""
    cache = Cache()
    calls = []
    tasks = []

    @cache
    async def load(key: str) -> str:
        calls.append(key)
        await asyncio.sleep(1)
        if key == "parent":
            tasks.append(asyncio.create_task(later()))
        return f"{key} {len(calls)}"

    async def later() -> list[str]:
        await asyncio.sleep(5)
        cache.clear()
        return [*await asyncio.gather(load("parent"), load("parent"))]

    await load("parent")
    assert await tasks[0] == ["parent 2", "parent 2"]
    assert calls == ["parent", "parent"]


def test_a_follower_has_no_more_time_than_its_deadline(sharing: Sharing) -> None:
    """A thread that waits for somebody else's call gives up on time; the function was not called for it (D1, G13)."""
    held, cache = Held(), Cache()
    load = cache(held.load)
    hurried = deadline(0.05, mode="cooperative", name="hurried")(functools.partial(load, 1))

    def follower() -> Any:
        assert held.begun.acquire(timeout=AGES)
        try:
            return hurried()
        finally:
            held.go.set()

    leader, error = in_threads(lambda: load(1), follower)
    assert leader == "result"
    assert isinstance(error, DeadlineExceeded)
    assert (error.name, error.started) == ("hurried", False)
    assert is_refusal(error)
    assert nothing_left(cache)


async def test_a_task_that_waits_honours_its_deadline(clock: VirtualClock) -> None:
    """The same for a task, in virtual time (D1)."""
    cache = Cache()

    @cache
    async def load() -> str:
        await asyncio.sleep(10)
        return "result"

    leader = asyncio.create_task(load())
    await asyncio.sleep(0)
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        await deadline(2)(load)()
    assert clock.monotonic() - began == 2
    assert not caught.value.started
    assert await leader == "result"
    assert nothing_left(cache)


async def test_a_leader_whose_own_time_is_over_promotes_a_follower(clock: VirtualClock) -> None:
    """A leader's deadline is its own: another caller calls again instead of failing with it (F6)."""
    calls = []

    @cached
    async def load() -> str:
        calls.append(1)
        await asyncio.sleep(10)
        return "result"

    leader = asyncio.create_task(deadline(2)(load)())
    await asyncio.sleep(1)
    follower = asyncio.create_task(load())
    with pytest.raises(DeadlineExceeded):
        await leader
    assert await follower == "result"
    assert len(calls) == 2


def test_a_thread_whose_own_time_is_over_promotes_a_follower(clock: VirtualClock, sharing: Sharing) -> None:
    """The same for a thread, which finds out when it looks at its deadline (D3)."""
    calls = []
    begun = threading.Event()
    cache = Cache()

    @cache
    def load() -> str:
        calls.append(1)
        if len(calls) == 1:
            begun.set()
            sharing.wait_for(1)
            clock.advance(5)
            inner()
        return "result"

    @deadline(1, mode="cooperative")
    def inner() -> None:
        pass

    def follower() -> str:
        assert begun.wait(AGES)
        return load()

    error, result = in_threads(deadline(2, mode="cooperative")(load), follower)
    assert isinstance(error, DeadlineExceeded)
    assert result == "result"
    assert len(calls) == 2
    assert nothing_left(cache)


async def test_an_inner_deadline_is_everybodys(clock: VirtualClock) -> None:
    """A limit inside the cache is part of the call: its error is shared like any other (F6)."""
    calls = []

    @cached
    @deadline(2)
    async def load() -> str:
        calls.append(1)
        await asyncio.sleep(10)
        return "result"

    outcomes = await asyncio.gather(load(), load(), return_exceptions=True)
    assert [type(each) for each in outcomes] == [DeadlineExceeded] * 2
    assert outcomes[0] is not outcomes[1]
    assert len(calls) == 1


async def test_what_is_forgotten_meanwhile_is_not_kept(clock: VirtualClock) -> None:
    """`invalidate` during a call: who waits gets its result, who comes later makes a new call (F6)."""
    calls = []
    cache = Cache()

    @cache
    async def load(key: int) -> int:
        calls.append(key)
        await asyncio.sleep(10)
        return len(calls)

    early = [asyncio.create_task(load(1)) for _ in range(2)]
    await asyncio.sleep(1)
    assert not cache.invalidate(1)
    late = [asyncio.create_task(load(1)) for _ in range(2)]
    assert await asyncio.gather(*early) == [2, 2]
    assert len(calls) == 2
    assert await asyncio.gather(*late) == [2, 2]
    assert await load(1) == 2
    assert nothing_left(cache)


async def test_a_result_that_cannot_be_shared(clock: VirtualClock) -> None:
    """Everybody who waits for an iterator calls for one of his own (F6)."""

    @cached
    async def rows() -> Any:
        await asyncio.sleep(1)
        return iter([1, 2])

    with pytest.warns(RuntimeWarning, match="list_iterator"):
        found = await asyncio.gather(rows(), rows(), rows())
    assert [list(each) for each in found] == [[1, 2]] * 3


async def test_stale_if_error_answers_followers_as_well(clock: VirtualClock) -> None:
    """Those who waited for a call that failed get the old result too (F6)."""
    calls = []

    @cached(10, stale_if_error=100)
    async def load() -> int:
        calls.append(1)
        await asyncio.sleep(1)
        if len(calls) > 1:
            raise LookupError
        return len(calls)

    assert await load() == 1
    await asyncio.sleep(20)
    assert await asyncio.gather(load(), load(), load()) == [1, 1, 1]
    assert len(calls) == 2


async def test_a_clean_context_afterwards(clock: VirtualClock) -> None:
    """Whatever happens to a call, its context leads nothing when it is over (G16)."""

    @cached
    async def load(key: str) -> str:
        if key == "fail":
            raise LookupError
        await asyncio.sleep(1 if key == "slow" else 0)
        return key

    for key in ("fine", "fail", "slow"):
        with contextlib.suppress(LookupError):
            await load(key)
        assert leading.led() == []
        assert leading._leading.get() is None
    context = contextvars.copy_context()
    coroutine = load("other")
    context.run(coroutine.send, None)
    coroutine.close()  # in another context than it began in
    assert leading.led() == []


async def test_no_cycle_keeps_a_failed_call_alive(clock: VirtualClock) -> None:
    """What leader and followers had in their frames goes with their errors, without the collector (G11)."""

    class Local:
        pass

    watches: list[Any] = []

    @cached
    async def load() -> None:
        local = Local()
        watches.append(ref(local))
        await asyncio.sleep(1)
        raise LookupError

    async def caller() -> None:
        local = Local()
        watches.append(ref(local))
        with contextlib.suppress(LookupError):
            await load()

    gc.disable()
    try:
        tasks = [asyncio.create_task(caller()) for _ in range(3)]
        await asyncio.wait(tasks)
        del tasks
        await asyncio.sleep(0)
        assert len(watches) == 4
        assert [watch() for watch in watches] == [None] * 4
    finally:
        gc.enable()


def test_listeners_hear_who_waits(sharing: Sharing) -> None:
    """A caller that waits is told as shared, not as a hit or a miss."""
    held = Held()
    load = cached(name="load")(held.load)
    seen: list[events.Event] = []

    def release() -> None:
        sharing.wait_for(2)
        held.go.set()

    with subscribe(seen.append):
        in_threads(*[lambda: load(1)] * 3, release)
    assert sorted(map(str, seen)) == ["CacheMiss(name='load')", "CacheShared(name='load')", "CacheShared(name='load')"]


def meet(together: threading.Barrier) -> Callable[[int], int]:
    @Cache(CacheConfig())
    def load(key: int) -> int:
        return together.wait(AGES)

    return load


def test_no_lock_is_held_while_the_function_runs() -> None:
    """Calls with different arguments run side by side (G7)."""
    together = threading.Barrier(4)
    load = meet(together)
    works = [functools.partial(load, key) for key in range(4)]
    assert sorted(in_threads(*works)) == [0, 1, 2, 3]
