"""Durable blocks and the steps in them when something ends too early, too late, or differently than before."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, DeadlineExceeded, RecoveryError, compensate, deadline, saga
from recoup.sagas import people
from recoup.sagas.journal import State
from recoup.strategies.compensation import steps
from tests.sagas import shop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from recoup.sagas.keeper import Journal
    from recoup.strategies.compensation.scope import Saga
    from tests.conftest import Both

GATES: list[asyncio.Event] = []
LEFT: list[Coroutine[Any, Any, None]] = []


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for each in (shop.LOG, GATES, LEFT):
        each.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


def undo_disguised(state: dict[str, Any]) -> object:
    LEFT.append(shop.undo_async(state))
    return LEFT[-1]


@compensate(undo_disguised)
def disguised(name: str) -> None:
    shop.happen("do", name)


@compensate(shop.undo_async)
async def slow(name: str) -> None:
    shop.happen("do", name)
    began, go = GATES
    began.set()
    await go.wait()


@saga
def inner_differs(name: str) -> None:
    """Fail in an inner saga, but only as long as something is wrong; then pass a pivot, and fail as long as that."""
    try:
        with saga("inner"):
            shop.do(name)
            shop.happen("after", name)
    except ConnectionError:
        pass
    shop.ship("ship")
    shop.happen("end", name)


def kinds(id: str) -> list[str]:
    return [f"{each.kind}{each.n or ''}" for each in people.show(id).records]


def elsewhere(block: Saga) -> Callable[..., Any]:
    """Enter a block in a context like that of another task; give what calls a function there."""
    run = contextvars.copy_context().run
    run(block.__enter__)
    return run


def hang(journal: Journal) -> threading.Event:
    """Let the journal carry out nothing more until an event is set."""
    go = threading.Event()
    journal._submit(lambda _: go.wait(60))
    return go


def test_shown(journal: Journal) -> None:
    """A block says how many of its steps it would undo; a pivot and what stands before it are not among them."""
    block = saga("order")
    assert repr(block) == "<saga 'order' not entered>"
    with block:
        shop.do("a")
        with saga("inner") as inner:
            shop.do("b")
            assert repr(inner) == "<saga 'inner' open, 1 steps to undo>"
        assert repr(block) == "<saga 'order' open, 2 steps to undo>"
        shop.ship("c")
        assert repr(block) == "<saga 'order' open, 0 steps to undo>"
    assert repr(block) == "<saga 'order' completed, 0 steps to undo>"


def test_inner_outlives_outer(journal: Journal) -> None:
    """An inner saga whose outer one has failed calls no more steps, and cannot complete."""
    inner = saga("inner")
    with pytest.raises(ConnectionError), saga("outer") as outer:
        shop.do("a")
        there = elsewhere(inner)
        raise ConnectionError("no")
    with pytest.raises(RecoveryError, match="'do' was not called: saga 'inner' has failed meanwhile"):
        there(shop.do, "b")
    with pytest.raises(RecoveryError, match="saga 'inner' completed after the one around it had failed"):
        there(inner.__exit__, None, None, None)
    assert repr(inner) == "<saga 'inner' failed, 0 steps to undo>"
    assert shop.LOG == [("do", "a"), ("undo", "a1 A")]
    assert kinds(outer.id) == ["intent1", "done1", "compensating", "undone1", "end"]  # type: ignore[attr-defined]


def test_inner_completes_while_outer_is_undone(journal: Journal) -> None:
    """An inner saga that completes while the outer one is being undone is too late; its steps are undone, once."""
    inner = saga("inner")
    seen: list[str] = []

    def complete() -> None:
        with pytest.raises(RecoveryError, match="completed after the one around it had failed") as caught:
            there(inner.__exit__, None, None, None)
        seen.append(str(caught.value))

    with pytest.raises(ConnectionError), saga("outer", on_compensation_start=complete) as outer:
        shop.do("a")
        there = elsewhere(inner)
        there(shop.do, "b")
        raise ConnectionError("no")
    assert len(seen) == 1
    assert shop.LOG == [("do", "a"), ("do", "b"), ("undo", "b2 B"), ("undo", "a1 A")]
    assert people.show(outer.id).head.state is State.COMPENSATED  # type: ignore[attr-defined]


def test_inner_completes_that_was_undone(journal: Journal) -> None:
    """A function whose inner saga was undone, and which completes it when it is run again, waits for a person."""
    shop.FAULTS["after a"] = ConnectionError("no")
    shop.FAULTS["end a"] = ConnectionError("down")
    with pytest.raises(ConnectionError, match="down"):
        inner_differs("a")
    (head,) = people.listed()
    shop.FAULTS.clear()
    told = len(shop.LOG)
    assert people.recover() == {head.id: State.STUCK}
    assert shop.LOG[told:] == [("after", "a")]
    reason = people.show(head.id).head.reason
    assert (
        reason == "step 1 (tests.sagas.shop:do) of saga 'inner_differs' was undone before a crash, "
        "and now the block completed"
    )


@pytest.mark.parametrize("fails", [False, True])
def test_task_outlives_its_saga(journal: Journal, *, fails: bool) -> None:
    """A step that returns after its saga failed undoes itself; if that fails, others look after the saga."""

    async def main() -> str:
        began, go = GATES[:] = asyncio.Event(), asyncio.Event()
        with pytest.raises(ConnectionError):
            async with saga("order") as block:
                await shop.do_async("a")
                task = asyncio.create_task(slow("b"))
                await began.wait()
                raise ConnectionError("no")
        assert shop.LOG[-1] == ("undo", "a1 A")
        go.set()
        with pytest.raises(CompensationError if fails else RecoveryError) as caught:
            await task
        assert "'slow' completed after saga 'order' had failed" in str(getattr(caught.value, "original", caught.value))
        id: str = block.id  # type: ignore[attr-defined]
        return id

    if fails:
        shop.FAULTS["undo b2 None"] = shop.FAULTS["undo b2 -"] = OSError("disk")
    id = asyncio.run(main())
    journal.wait(journal.listed((), 1))  # what is lazy is written by then
    head = people.show(id).head
    assert (head.state, head.owner is None) == (State.COMPENSATING if fails else State.COMPENSATED, True)
    shop.FAULTS.clear()
    assert people.recover() == ({id: State.COMPENSATED} if fails else {})
    assert [each[1][:2] for each in shop.LOG if each[0] == "undo"] == ["a1", "b2", "b2"][: 3 if fails else 2]


def test_awaitable_where_nobody_awaits(journal: Journal) -> None:
    """A plain action that returns a coroutine in a plain block has failed; the coroutine is closed, the step owed."""
    with pytest.raises(CompensationError) as caught, saga("order") as block:
        disguised("a")
        raise ConnectionError("no")
    assert "returned an awaitable, which a synchronous call cannot await" in str(caught.value.failures[0])
    assert [inspect.getcoroutinestate(each) for each in LEFT] == [inspect.CORO_CLOSED]
    assert shop.LOG == [("do", "a")]
    assert kinds(block.id) == ["intent1", "done1", "compensating"]  # type: ignore[attr-defined]


def test_no_time_to_enter(both: Both, journal: Journal) -> None:
    """A block whose key is not written in time is not entered; if it is written after all, it is undone, not kept."""

    @deadline(0.1, mode="cooperative")
    def enter() -> None:
        with saga("order", key="7"):
            shop.do("a")

    @deadline(0.1, mode="cooperative")
    async def enter_async() -> None:
        async with saga("order", key="7"):
            await shop.do_async("a")

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await enter_async()
        assert steps.ambient() is None

    go = hang(journal)
    try:
        if both.is_async:
            both.run(main)
        else:
            with pytest.raises(DeadlineExceeded):
                enter()
            assert steps.ambient() is None
    finally:
        go.set()
    assert shop.LOG == []
    journal.wait(journal.listed((), 1))
    (head,) = people.listed()
    assert (head.key, head.owner, kinds(head.id)) == ("7", None, [])
    assert people.recover() == {head.id: State.COMPENSATED}
    with saga("order", key="7"):
        shop.do("a")
    assert shop.LOG == [("do", "a")]


def test_no_time_to_begin(both: Both, journal: Journal) -> None:
    """A step whose INTENT is not written in time is not called, and the journal hears that it never ran."""

    @deadline(0.1, mode="cooperative")
    def begin() -> None:
        shop.do("a")

    @deadline(0.1, mode="cooperative")
    async def begin_async() -> None:
        await shop.do_async("a")

    async def main() -> str:
        async with saga("order") as block:
            await shop.do_async("first")
            go = hang(journal)
            try:
                with pytest.raises(DeadlineExceeded):
                    await begin_async()
            finally:
                go.set()
        id: str = block.id  # type: ignore[attr-defined]
        return id

    def plain() -> str:
        with saga("order") as block:
            shop.do("first")
            go = hang(journal)
            try:
                with pytest.raises(DeadlineExceeded):
                    begin()
            finally:
                go.set()
        id: str = block.id  # type: ignore[attr-defined]
        return id

    id = both.run(main) if both.is_async else plain()
    assert shop.LOG == [("do", "first")]
    assert kinds(id) == ["intent1", "done1", "intent2", "undone2", "end"]
    assert people.show(id).records[3].body == '{"why": "it never ran"}'
