"""A plain function that waits as a coroutine waits, in lockstep with it."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from recoup.sagas.engines.lockstep import Abandoned, Lockstep


async def doubled(request: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(request, Exception):
        raise request
    return request * 2


async def test_answers_and_errors_reach_the_function() -> None:
    """What the coroutine answers is what the function gets, and what it raises is what the function sees raised."""
    seen: list[object] = []

    def function() -> str:
        seen.append(steps.ask(21))
        with pytest.raises(KeyError, match="gone"):
            steps.ask(KeyError("gone"))
        return "over"

    steps = Lockstep(function)
    assert await steps.drive(doubled) == "over"
    assert seen == [42]


async def test_error_of_the_function_comes_out() -> None:
    """What the function raises is what its driver raises, the very object."""
    error = ValueError("mine")

    def function() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        await Lockstep(function).drive(doubled)
    assert caught.value is error


async def test_one_at_a_time() -> None:
    """While the function runs the loop stands still, and while the coroutine works the function does."""
    at_work: list[str] = []

    async def answer(request: Any) -> None:
        at_work.append("coroutine")
        await asyncio.sleep(0)
        assert at_work[-1] == "coroutine"

    def function() -> None:
        for _ in range(3):
            at_work.append("function")
            steps.ask(None)

    steps = Lockstep(function)
    await steps.drive(answer)
    assert at_work == ["function", "coroutine"] * 3


async def test_context_is_carried_over() -> None:
    """The function sees the context variables of its driver."""
    variable: ContextVar[int] = ContextVar("variable")
    variable.set(7)
    assert await Lockstep(variable.get).drive(doubled) == 7


async def test_another_thread_is_refused() -> None:
    """Only the function's own thread may ask: of two askers nobody could say who comes first when it is run again."""

    def function() -> None:
        errors: list[BaseException] = []

        def other() -> None:
            try:
                steps.ask(1)
            except RuntimeError as error:
                errors.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise errors[0]

    steps = Lockstep(function)
    with pytest.raises(RuntimeError, match="called from another thread"):
        await steps.drive(doubled)


async def test_cancellation_reaches_the_function() -> None:
    """A cancelled driver cancels what the function waits for; the function may still ask for what undoes it."""
    undone: list[object] = []

    async def answer(request: Any) -> Any:
        if request == "forever":
            await asyncio.Event().wait()
        return request

    def function() -> None:
        try:
            steps.ask("forever")
        except asyncio.CancelledError:
            undone.append(steps.ask("undo"))
            raise

    steps = Lockstep(function)
    task = asyncio.ensure_future(steps.drive(answer))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == ["undo"]


async def test_dropped_function_ends() -> None:
    """A function whose driver is dropped gets `Abandoned` for whatever it asks, and its thread ends (rule G2)."""
    seen: list[str] = []

    async def answer(request: Any) -> Any:
        raise GeneratorExit

    def function() -> None:
        for _ in range(2):
            try:
                steps.ask(1)
            except Abandoned as error:
                seen.append(str(error))

    before = threading.active_count()
    steps = Lockstep(function)
    with pytest.raises(GeneratorExit):
        await steps.drive(answer)
    assert seen == ["abandoned: GeneratorExit", "abandoned"]
    assert threading.active_count() == before
