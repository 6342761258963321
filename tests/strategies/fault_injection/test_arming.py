"""Where an injection is armed: in a context or everywhere, and never beyond its block (G16)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest

from recoup import FaultInjection, inject_faults
from recoup.strategies.fault_injection import arming
from recoup.strategies.fault_injection.arming import Armed


def made(**options: Any) -> tuple[FaultInjection, Any]:
    faults = inject_faults(error=OSError, **options)

    @faults
    def ask() -> str:
        return "answer"

    def call() -> str:
        try:
            return ask()
        except OSError:
            return "fault"

    return faults, call


def in_thread(work: Any, *args: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work(*args)))
    thread.start()
    thread.join()
    return found[0]


def test_a_block_arms_its_context_only() -> None:
    """Other threads are not affected; a copy of the context is."""
    faults, call = made()
    with faults.armed():
        assert faults.is_armed
        assert call() == "fault"
        assert in_thread(call) == "answer"
        assert in_thread(contextvars.copy_context().run, call) == "fault"
    assert not faults.is_armed
    assert call() == "answer"


def test_arming_everywhere() -> None:
    """`arm()` and `disarm()` count for everybody; a second call does nothing."""
    faults, call = made(schedule=[2])
    faults.arm()
    assert [call(), in_thread(call), call()] == ["answer", "fault", "answer"]
    faults.arm()  # and its numbers go on
    assert call() == "answer"
    faults.disarm()
    faults.disarm()
    assert [call(), call()] == ["answer", "answer"]
    faults.arm()
    assert [call(), call()] == ["answer", "fault"]


def test_blocks_nest_and_number_by_themselves() -> None:
    """The innermost block counts; the numbers of the outer one go on after it."""
    faults, call = made(schedule=[2])
    faults.arm()
    assert call() == "answer"
    with faults.armed():
        assert [call(), call(), call()] == ["answer", "fault", "answer"]
        with faults.armed():
            assert [call(), call()] == ["answer", "fault"]
        assert call() == "answer"
        faults.disarm()
        assert faults.is_armed
        faults.arm()
    assert [call(), call()] == ["answer", "fault"]


def test_two_injections_are_two() -> None:
    """A block arms its own injection only, also inside that of another."""
    (one, call_one), (two, call_two) = made(), made()
    with one.armed():
        assert (call_one(), call_two()) == ("fault", "answer")
        with two.armed():
            assert (call_one(), call_two()) == ("fault", "fault")
        assert (call_one(), call_two()) == ("fault", "answer")


def test_a_block_ends_with_an_error() -> None:
    """Whatever ends it."""
    faults, call = made()
    with pytest.raises(ZeroDivisionError), faults.armed():
        raise ZeroDivisionError
    assert call() == "answer"


def test_a_block_is_entered_once() -> None:
    """Its numbers are its own."""
    faults, _ = made()
    block = faults.armed()
    for _ in range(1):
        with block:
            pass
    with pytest.raises(RuntimeError, match=r"entered before: write `with faults.armed\(\):` for each"), block:
        pass
    assert not faults.is_armed


async def test_tasks_are_apart() -> None:
    """A task that is started inside is affected while the block is open, one from before is not."""
    faults, call = made()
    go = asyncio.Event()

    async def later() -> list[str]:
        told = [call()]
        await go.wait()
        return [*told, call()]

    before = asyncio.create_task(later())
    await asyncio.sleep(0)
    with faults.armed():
        inside = asyncio.create_task(later())
        await asyncio.sleep(0)
    go.set()
    assert await before == ["answer", "answer"]
    assert await inside == ["fault", "answer"]


async def test_a_task_may_end_the_block_of_a_closed_one() -> None:
    """A block inside one that has ended meanwhile leaves nothing behind."""
    faults, call = made()
    entered, go = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def child() -> None:
        with faults.armed():
            entered.set()
            await go.wait()
            told.append(call())
        told.append(call())
        with faults.armed():
            told.append(call())
        told.append(call())

    with faults.armed():
        task = asyncio.create_task(child())
        await entered.wait()
    go.set()
    await task
    assert told == ["fault", "answer", "fault", "answer"]


def test_a_generator_that_is_closed_elsewhere_disarms() -> None:
    """A block in a generator may end in another context than it began in."""
    faults, call = made()

    def holding() -> Any:
        with faults.armed():
            yield

    holder = holding()
    contextvars.Context().run(next, holder)
    assert call() == "answer"
    with faults.armed():
        holder.close()
        assert call() == "fault"
    assert call() == "answer"
    assert not faults._armings.open


def test_closed_blocks_do_not_pile_up() -> None:
    """A task that arms again and again, inside what is over, keeps no chain of blocks."""
    faults, _ = made()
    seen: list[weakref.ref[Any]] = []

    class Block(Armed):
        __slots__ = ("__weakref__",)

    def enter() -> None:
        block = Block(faults._armings)
        seen.append(weakref.ref(block))
        block.__enter__()
        contextvars.copy_context().run(block.__exit__, None, None, None)  # over, and still in this context

    def work() -> None:
        for _ in range(5):
            enter()
        gc.collect()
        assert [each() is None for each in seen] == [True] * 4 + [False]

    contextvars.Context().run(work)


def test_a_context_is_left_as_it_was() -> None:
    """A block that is over is not kept by the context it was in, nor is its injection."""
    (one, _), (two, _) = made(), made()
    with one.armed():
        around = arming._scope.get()
        with two.armed():
            assert arming._scope.get() is not around
        assert arming._scope.get() is around
    assert arming._scope.get() is None


def test_numbers_are_exact_in_many_threads() -> None:
    """G7: of 4 x 500 calls exactly those on schedule are hit."""
    faults, call = made(schedule=range(0, 10_000, 10))
    told: list[str] = []
    faults.arm()

    def work() -> None:
        told.extend([call() for _ in range(500)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (told.count("fault"), len(told)) == (200, 2000)


def test_arming_in_many_threads() -> None:
    """Threads that arm and disarm at the same time leave it disarmed in the end."""
    faults, call = made()

    def work() -> None:
        for _ in range(200):
            faults.arm()
            with faults.armed():
                assert call() == "fault"
            faults.disarm()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert call() == "answer"
    assert not faults._armings.open
