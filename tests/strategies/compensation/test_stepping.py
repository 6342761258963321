"""Cancellation at every await: either everything was done, or everything is undone, once (rules S1 and G2).

The calls below are cancelled in every round of the event loop, once and twice, and driven by hand with an exception
thrown in at every point where they wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError
from recoup.strategies.compensation.scope import saga
from recoup.strategies.compensation.strategy import compensate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    Scene = Callable[["Books"], Coroutine[Any, Any, Any]]


class Pause:
    """Wait once, in whatever drives the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Books:
    """What stands and what was undone, in order."""

    def __init__(self) -> None:
        self.stands: list[str] = []
        self.begun: list[str] = []
        self.tried: list[str] = []
        self.undone: list[str] = []
        self.ended = ""

    async def do(self, name: str) -> str:
        self.begun.append(name)
        await Pause()
        self.stands.append(name)
        await Pause()
        return name

    async def undo(self, state: dict[str, Any]) -> None:
        self.tried.append(state["name"])
        await Pause()
        self.undone.append(state["name"])
        if state["name"] in self.stands:
            self.stands.remove(state["name"])
        await Pause()


async def one_call(books: Books) -> None:
    """A call that succeeds if it may."""
    await compensate([books.undo, books.undo])(books.do)("a")
    books.ended = "completed"


async def failing_call(books: Books) -> None:
    """A call that fails by itself."""

    async def do(name: str) -> None:
        await books.do(name)
        raise ValueError("own")

    await compensate([books.undo, books.undo])(do)("a")


async def three_steps(books: Books) -> None:
    """A saga that completes if it may."""
    step = compensate(books.undo)(books.do)
    async with saga("order"):
        for name in "abc":
            await step(name)
        await Pause()
    books.ended = "completed"


async def failing_saga(books: Books) -> None:
    """A saga that fails by itself."""
    step = compensate(books.undo)(books.do)
    async with saga("order"):
        await step("a")
        async with saga("inner"):
            await step("b")
        raise ValueError("own")


SCENES = [one_call, failing_call, three_steps, failing_saga]


def check(books: Books, scene: Scene) -> None:
    """Hold the books against the promise."""
    if books.ended == "completed":
        assert books.undone == []
        assert books.stands == books.begun
        return
    assert books.stands == []
    actions = 2 if scene in (one_call, failing_call) else 1
    assert books.undone == [name for name in reversed(books.begun) for _ in range(actions)]


async def cancelled_after(scene: Scene, rounds: list[int]) -> tuple[Books, asyncio.Task[Any], int]:
    """Start a scene, cancel it after so many rounds of the loop, and let it end; count the rounds it took."""
    books = Books()
    task = asyncio.create_task(scene(books))
    reached = 0
    for more in rounds:
        for _ in range(more):
            if task.done():
                break
            await asyncio.sleep(0)
        if not task.done():
            reached += 1
            task.cancel()
    await asyncio.wait([task])
    return books, task, reached


@pytest.mark.parametrize("scene", SCENES)
async def test_cancelled_once_in_every_round(scene: Scene) -> None:
    """S1: wherever the cancellation falls, the books balance, and it comes out unless the call was over."""
    rounds = 0
    while True:
        books, task, reached = await cancelled_after(scene, [rounds])
        check(books, scene)
        if not reached:
            break
        if rounds > 0:  # a task that is cancelled before it starts never runs
            assert books.begun
        assert task.cancelled()
        rounds += 1
    assert rounds >= (3 if scene is one_call else 7)


@pytest.mark.parametrize("scene", SCENES)
async def test_cancelled_twice_in_every_pair_of_rounds(scene: Scene) -> None:
    """S1: a second cancellation, at any point of the undoing, interrupts nothing and loses nothing."""
    first, pairs = 1, 0
    while True:
        second = 0
        while True:
            books, task, reached = await cancelled_after(scene, [first, second])
            check(books, scene)
            if reached == 2:
                assert task.cancelled()
                pairs += 1
            else:
                break
            second += 1
        if not reached:
            break
        first += 1
    assert pairs >= (10 if scene is one_call else 30)


@pytest.mark.parametrize("scene", SCENES)
async def test_a_loop_that_shuts_down_in_every_round(scene: Scene) -> None:
    """S1: when all tasks are cancelled at once, the compensation's own too, at most the action that runs is lost."""
    rounds = 1
    while True:
        books = Books()
        task = asyncio.create_task(scene(books))
        for _ in range(rounds):
            await asyncio.sleep(0)
        if task.done():
            break
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert len(books.stands) <= 1
        expected = [name for name in reversed(books.begun) for _ in range(2 if "call" in scene.__name__ else 1)]
        assert len(books.tried) == len(expected)
        assert len(books.undone) >= len(expected) - 1
        rounds += 1
    assert rounds >= 3


def drive(coroutine: Coroutine[Any, Any, Any], thrown: dict[int, BaseException]) -> tuple[int, BaseException | None]:
    """Step a coroutine by hand, throwing in what is due at a step; give the steps and what came out."""
    steps = 0
    try:
        while True:
            if steps in thrown:
                coroutine.throw(thrown[steps])
            else:
                coroutine.send(None)
            steps += 1
    except StopIteration:
        return steps, None
    except BaseException as error:  # noqa: BLE001 - that is what is asked
        return steps, error


class Cancelled(BaseException):
    """What another library's loop would throw."""


@pytest.mark.parametrize("scene", SCENES)
def test_thrown_in_by_hand(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """S1: outside any known loop a thrown exception ends one action at the most, stops no other and comes out."""
    length, _ = drive(scene(Books()), {})
    assert length >= 2
    for step in range(1, length + 1):
        books = Books()
        error = Cancelled(step)
        _, outcome = drive(scene(books), {step: error})
        if not books.undone and books.ended == "completed":
            continue
        assert outcome is error
        interrupted = 1 if "Cancelled" in caplog.text else 0
        caplog.clear()
        expected = [name for name in reversed(books.begun) for _ in range(2 if "call" in scene.__name__ else 1)]
        assert len(expected) - len(books.undone) <= interrupted
        assert len(books.stands) <= interrupted


@pytest.mark.parametrize("scene", SCENES)
def test_an_exception_thrown_in_by_hand(scene: Scene) -> None:
    """S2: an exception at any point of an action is that action's failure, and is reported."""
    length, _ = drive(scene(Books()), {})
    reported = 0
    for step in range(1, length + 1):
        books = Books()
        error = OSError(step)
        _, outcome = drive(scene(books), {step: error})
        if isinstance(outcome, CompensationError):
            assert outcome.failures == (error,)
            reported += 1
        else:
            assert outcome is error
            check(books, scene)
    assert reported >= (4 if "failing" in scene.__name__ else 0)


@pytest.mark.parametrize("scene", SCENES)
def test_closed_by_hand(scene: Scene) -> None:
    """S1: a coroutine that is closed at any point raises nothing and leaves nothing half-awaited."""
    length, _ = drive(scene(Books()), {})
    for stop in range(1, length + 1):
        books = Books()
        coroutine = scene(books)
        for _ in range(stop):
            coroutine.send(None)
        coroutine.close()
        assert books.ended == ""
