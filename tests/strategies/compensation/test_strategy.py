"""A failed call is undone, sync and async alike (rules S1 to S3, G2, G3, G9, G11)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, DeadlineExceeded, current_deadline, subscribe
from recoup import events as happened
from recoup._core import emit, mode, timing, waiting
from recoup.strategies.compensation.config import CompensationConfig
from recoup.strategies.compensation.strategy import Compensation, compensate

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Shop:
    """Does things that fail, and keeps a diary."""

    def __init__(self) -> None:
        self.diary: list[Any] = []
        self.error: BaseException = ConnectionError("no answer")

    def pay(self, order: int, card: str = "visa") -> None:
        self.diary.append(("pay", order))
        raise self.error

    def undo(self, name: str) -> Any:
        return lambda: self.diary.append(name)

    def broken(self, name: str) -> Any:
        def broken() -> None:
            self.diary.append(name)
            raise KeyError(name)

        return broken


@pytest.fixture
def shop() -> Shop:
    return Shop()


def protected(both: Both, shop: Shop, *actions: Any, **options: Any) -> Any:
    return compensate(list(actions), **options)(both.wrap(shop.pay))


def test_a_failed_call_is_undone_and_its_error_comes_out(both: Both, shop: Shop) -> None:
    """G3: the same object, no new context, with one note; the actions have run."""
    with pytest.raises(ConnectionError, match="no answer") as caught:
        both.call(protected(both, shop, shop.undo("first"), shop.undo("second")), 7)
    assert shop.diary == [("pay", 7), "first", "second"]
    assert caught.value is shop.error
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert caught.value.__notes__ == ["recoup: compensated: 2 of 2 actions succeeded"]


def test_a_call_that_succeeds_is_left_alone(both: Both, shop: Shop) -> None:
    """Nothing is undone, nobody is told."""
    config = CompensationConfig(
        compensation_actions=[shop.undo("undo")],
        on_compensation_start=shop.undo("start"),
        on_compensation_complete=shop.undo("complete"),
    )
    compensation = Compensation(config)
    assert both.call(compensation(both.wrap(lambda order: order + 1)), 7) == 8
    assert (shop.diary, compensation.compensations) == ([], 0)


def test_use_sagas_reverses(both: Both, shop: Shop) -> None:
    """S1: actions run as listed, or in reverse with `use_sagas`; the user's list stays as it is."""
    actions = [shop.undo("first"), shop.undo("second"), shop.undo("third")]
    with pytest.raises(ConnectionError):
        both.call(compensate(actions, use_sagas=True)(both.wrap(shop.pay)), 7)
    assert shop.diary[1:] == ["third", "second", "first"]
    assert [action() for action in actions] == [None] * 3
    assert shop.diary[4:] == ["first", "second", "third"]


def test_actions_may_be_added_while_it_runs(both: Both, shop: Shop) -> None:
    """S3: the list is read when the failure happens, as Example 2 of the specification needs it."""
    actions: list[Any] = []

    def reserve() -> None:
        actions.append(shop.undo("release"))
        raise shop.error

    with pytest.raises(ConnectionError):
        both.call(compensate(actions)(both.wrap(reserve)))
    assert shop.diary == ["release"]


def test_an_entry_that_is_no_action_fails_alone(both: Both, shop: Shop) -> None:
    """S2: what was appended by mistake is that entry's failure; the others run."""
    actions: list[Any] = []

    def reserve() -> None:
        actions.extend([("release", 1), lambda one, two: None, shop.undo("release")])
        raise shop.error

    with pytest.raises(CompensationError) as caught:
        both.call(compensate(actions)(both.wrap(reserve)))
    assert shop.diary == ["release"]
    assert [str(failure).split(":")[0] for failure in caught.value.failures] == [
        "a compensation action must be callable, not ('release', 1)",
        (
            "'test_an_entry_that_is_no_action_fails_alone.<locals>.reserve.<locals>.<lambda>' asks for one, two, "
            "but an action gets one argument at most"
        ),
    ]


def test_an_action_that_asks_gets_the_state(both: Both, shop: Shop) -> None:
    """An action with a required parameter gets the call's arguments by name, `args`, `kwargs` and `error`."""
    states: list[Any] = []
    with pytest.raises(ConnectionError):
        both.call(protected(both, shop, states.append, states.append), 7, card="amex")
    state, again = states
    assert state is again
    args, kwargs = state.pop("args"), state.pop("kwargs")
    assert state == {"order": 7, "card": "amex", "error": shop.error}
    assert inspect.signature(shop.pay).bind(*args, **kwargs).arguments == {"order": 7, "card": "amex"}


@pytest.mark.parametrize(("args", "kwargs"), [((7,), {}), ((7, "visa"), {}), ((), {"card": "visa", "order": 7})])
def test_the_way_of_writing_a_call_does_not_matter(
    both: Both, shop: Shop, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Contract: `args` and `kwargs` are there beside the names; every way in shows the same call the same way."""

    def pay(order: int, card: str = "visa") -> None:
        raise shop.error

    async def pay_async(order: int, card: str = "visa") -> None:
        raise shop.error

    states: list[Any] = []
    undo, target = compensate(states.append), pay_async if both.is_async else pay
    with pytest.raises(ConnectionError):
        both.execute(undo, target, *args, **kwargs)
    with pytest.raises(ConnectionError):
        both.call(undo(target), *args, **kwargs)
    assert [(state["args"], state["kwargs"]) for state in states] == [((7, "visa"), {})] * 2


def test_without_save_state_only_the_error_is_known(both: Both, shop: Shop) -> None:
    """`save_state=False` keeps nothing of the call: the state holds `error` alone."""
    states: list[Any] = []
    with pytest.raises(ConnectionError):
        both.call(protected(both, shop, states.append, shop.undo("second"), save_state=False), 7)
    assert states == [{"error": shop.error}]
    assert shop.diary[1:] == ["second"]


def test_failures_are_listed_in_one_error(both: Both, shop: Shop) -> None:
    """S2: an action that fails stops no other; one error lists each failure, with the original as cause."""
    with pytest.raises(CompensationError, match="2 of 3 compensations failed") as caught:
        both.call(protected(both, shop, shop.broken("a"), shop.undo("b"), shop.broken("c")), 7)
    assert shop.diary[1:] == ["a", "b", "c"]
    error = caught.value
    assert (error.original, error.__cause__, error.undone) == (shop.error, shop.error, 1)
    assert [failure.args for failure in error.failures] == [("a",), ("c",)]
    assert error.failures[0].__notes__ == ["recoup: in compensation action 'Shop.broken.<locals>.broken'"]


def test_raise_original_raises_the_original(both: Both, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """S2: with `raise_original` the operation's error comes out, failures are noted and logged."""
    with pytest.raises(ConnectionError) as caught:
        both.call(protected(both, shop, shop.broken("a"), shop.undo("b"), raise_original=True), 7)
    assert caught.value is shop.error
    assert caught.value.__context__ is None
    assert caught.value.__notes__ == ["recoup: compensated in part: 1 of 2 actions failed (KeyError: 'a')"]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("recoup", logging.ERROR)
    assert record.getMessage() == "not undone: recoup: in compensation action 'Shop.broken.<locals>.broken'"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


def test_failures_in_an_error_are_not_logged_as_well(both: Both, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """What the caller is told is not told twice."""
    with pytest.raises(CompensationError):
        both.call(protected(both, shop, shop.broken("a")), 7)
    assert caplog.records == []


def test_an_action_is_tried_again(both: Both, shop: Shop, clock: VirtualClock) -> None:
    """S2: an action that fails is retried by its own policy, and then counts as done."""
    answers = iter([KeyError("once"), KeyError("twice"), None])

    def release() -> None:
        shop.diary.append("release")
        if (answer := next(answers)) is not None:
            raise answer

    with pytest.raises(ConnectionError) as caught:
        both.call(protected(both, shop, release, shop.undo("next"), compensation_attempts=3, compensation_delay=2.5), 7)
    assert shop.diary[1:] == ["release", "release", "release", "next"]
    assert clock.sleeps == [2.5, 2.5]
    assert caught.value.__notes__ == ["recoup: compensated: 2 of 2 actions succeeded"]


def test_an_action_is_tried_once_by_default(both: Both, shop: Shop, clock: VirtualClock) -> None:
    """An action runs once unless the user says that it may be repeated."""
    with pytest.raises(CompensationError):
        both.call(protected(both, shop, shop.broken("a")), 7)
    assert shop.diary[1:] == ["a"]
    assert clock.sleeps == []


def test_no_try_goes_past_saga_timeout(both: Both, shop: Shop, clock: VirtualClock) -> None:
    """S1: a pause that does not fit is not slept; the others still run."""
    with pytest.raises(CompensationError) as caught:
        both.call(
            protected(
                both,
                shop,
                shop.broken("a"),
                shop.undo("b"),
                compensation_attempts=9,
                compensation_delay=4,
                saga_timeout=10,
            ),
            7,
        )
    assert shop.diary[1:] == ["a", "a", "a", "b"]
    assert clock.sleeps == [4, 4]
    assert len(caught.value.failures) == 1


def test_saga_timeout_bounds_the_whole(both: Both, shop: Shop, clock: VirtualClock) -> None:
    """S1: what has not run by then has failed; the operation's error is still reported, `complete` still called."""

    def slow() -> Any:
        shop.diary.append("slow")
        return both.pause(20)

    began = clock.monotonic()
    with pytest.raises(CompensationError) as caught:
        both.call(
            protected(both, shop, slow, shop.undo("b"), saga_timeout=8, on_compensation_complete=shop.undo("complete")),
            7,
        )
    assert shop.diary[1:] == ["slow", "complete"]
    assert caught.value.original is shop.error
    late = [failure for failure in caught.value.failures if isinstance(failure, DeadlineExceeded)]
    assert [failure.name for failure in late] == ["saga_timeout"] * len(late)
    assert not late[-1].started
    if both.is_async:  # cancelled in time; plain code cannot be
        assert clock.monotonic() - began == pytest.approx(8)
        assert [failure.started for failure in late] == [True, False]
        assert caught.value.undone == 0
    else:
        assert caught.value.undone == 1


def test_the_deadline_that_has_expired_does_not_govern(both: Both, shop: Shop, clock: VirtualClock) -> None:
    """S1: an action has its own time, also when the operation failed because its time was up."""
    seen: list[Any] = []

    def undo() -> None:
        deadline = current_deadline()
        assert deadline is not None
        seen.append((deadline.name, deadline.remaining()))

    pay = protected(both, shop, undo, saga_timeout=30)

    def outer(order: int) -> Any:
        deadline = timing.enter(timing.Limit(None, 5.0, "operation"))
        try:
            clock.advance(5)
            return pay(order)
        finally:
            timing.leave(deadline)

    with pytest.raises(ConnectionError):
        both.call(both.wrap(outer) if not both.is_async else outer, 7)
    assert seen == [("saga_timeout", pytest.approx(30))]


def test_callbacks_run_once_round_the_actions(both: Both, shop: Shop) -> None:
    """G9: start, actions, complete; complete also after a failure."""
    with pytest.raises(CompensationError):
        both.call(
            protected(
                both,
                shop,
                shop.broken("a"),
                shop.undo("b"),
                on_compensation_start=shop.undo("start"),
                on_compensation_complete=shop.undo("complete"),
            ),
            7,
        )
    assert shop.diary[1:] == ["start", "a", "b", "complete"]


def test_without_actions_nothing_happens(both: Both, shop: Shop) -> None:
    """An empty list means nothing to undo: no callbacks, no note."""
    config = CompensationConfig(
        on_compensation_start=shop.undo("start"), on_compensation_complete=shop.undo("complete")
    )
    seen: list[Any] = []
    with subscribe(seen.append), pytest.raises(ConnectionError) as caught:
        both.call(Compensation(config)(both.wrap(shop.pay)), 7)
    assert shop.diary == [("pay", 7)]
    assert not hasattr(caught.value, "__notes__")
    assert seen == []


def test_a_callback_that_raises_changes_nothing(
    both: Both, shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G9: it is logged, and the actions run."""
    monkeypatch.setattr(emit, "_logged", set())

    def start() -> None:
        raise LookupError("callback")

    with pytest.raises(ConnectionError):
        both.call(protected(both, shop, shop.undo("a"), on_compensation_start=start), 7)
    assert shop.diary[1:] == ["a"]
    assert "raised LookupError; the call goes on" in caplog.text


@pytest.mark.parametrize("field", ["on_compensation_start", "on_compensation_complete"])
def test_control_flow_of_a_callback_goes_on(both: Both, shop: Shop, field: str) -> None:
    """G9: Ctrl-C in a callback stops no action and comes out at the end."""
    stop = SystemExit(3)

    def callback() -> None:
        raise stop

    with pytest.raises(SystemExit) as caught:
        both.call(protected(both, shop, shop.undo("a"), **{field: callback}), 7)
    assert caught.value is stop
    assert shop.diary[1:] == ["a"]
    assert caught.value.__context__ is shop.error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_compensates_too(both: Both, shop: Shop, kind: type[BaseException]) -> None:
    """S1: Ctrl-C in the operation: everything is undone, then it goes on, itself."""
    shop.error = kind("stop")
    with pytest.raises(kind) as caught:
        both.call(protected(both, shop, shop.undo("a"), shop.undo("b")), 7)
    assert caught.value is shop.error
    assert shop.diary[1:] == ["a", "b"]


def test_the_end_of_the_process_is_not_replaced(both: Both, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """G2: Ctrl-C goes on even if something was not undone; that is logged."""
    shop.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        both.call(protected(both, shop, shop.broken("a"), shop.undo("b")), 7)
    assert caught.value is shop.error
    assert shop.diary[1:] == ["a", "b"]
    assert "not undone: recoup: in compensation action" in caplog.text


def test_control_flow_in_an_action_waits_for_the_others(
    both: Both, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C while undoing ends one action; the others run, then it comes out, not tried again (G2)."""

    def interrupted() -> None:
        shop.diary.append("interrupted")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        both.call(protected(both, shop, interrupted, shop.undo("b"), compensation_attempts=3, compensation_delay=0), 7)
    assert shop.diary[1:] == ["interrupted", "b"]
    assert caught.value.__context__ is shop.error
    assert caught.value.__notes__[-1].startswith("recoup: compensated in part: 1 of 2 actions failed")
    assert len(caplog.records) == 1


def test_an_action_may_raise_the_operations_error(both: Both, shop: Shop) -> None:
    """An action that re-raises `state["error"]` has failed with it."""

    def undo(state: dict[str, Any]) -> None:
        raise state["error"]

    with pytest.raises(CompensationError) as caught:
        both.call(protected(both, shop, undo), 7)
    assert caught.value.failures == (shop.error,)
    assert caught.value.__cause__ is shop.error


def test_actions_may_be_protected_themselves(both: Both, shop: Shop) -> None:
    """An action may be decorated with recoup; its own failing and undoing is its own affair."""
    release = compensate(shop.undo("undo of undo"))(both.wrap(shop.broken("release")))
    with pytest.raises(CompensationError) as caught:
        both.call(protected(both, shop, release), 7)
    assert shop.diary[1:] == ["release", "undo of undo"]
    assert isinstance(caught.value.failures[0], KeyError)


def test_stacked_layers_undo_from_inside(both: Both, shop: Shop) -> None:
    """G14: two layers undo in their order, the inner one first; one error reports both."""
    inner = compensate(shop.broken("inner"))
    outer = compensate([shop.broken("outer"), shop.undo("more")])
    with pytest.raises(CompensationError) as caught:
        both.call(outer(inner(both.wrap(shop.pay))), 7)
    assert shop.diary[1:] == ["inner", "outer", "more"]
    assert caught.value.original is shop.error
    assert [failure.args for failure in caught.value.failures] == [("inner",), ("outer",)]
    assert caught.value.undone == 1


def test_events(both: Both, shop: Shop) -> None:
    """Listeners hear of the beginning and the end, without arguments or errors (G10)."""
    seen: list[Any] = []
    with subscribe(seen.append), pytest.raises(CompensationError):
        both.call(protected(both, shop, shop.broken("a"), shop.undo("b"), name="order"), 7)
    assert seen == [
        happened.CompensationStarted("order", 2, "ConnectionError"),
        happened.CompensationFinished("order", 1, 1),
    ]


def test_switched_off(both: Both, shop: Shop) -> None:
    """G16: with recovery off nothing is undone, and the error comes out bare."""
    compensation = compensate(shop.undo("a"))
    pay = compensation(both.wrap(shop.pay))
    with mode.Scope("off"), pytest.raises(ConnectionError) as caught:
        both.call(pay, 7)
    assert shop.diary == [("pay", 7)]
    assert not hasattr(caught.value, "__notes__")
    assert compensation.compensations == 0
    with mode.Scope("off"), mode.Scope("on"), pytest.raises(ConnectionError):
        both.call(pay, 7)
    assert shop.diary[-1] == "a"


def test_instant(both: Both, shop: Shop, clock: VirtualClock) -> None:
    """G16: an instant mode skips the pauses between tries."""
    with mode.Scope("instant"), pytest.raises(CompensationError):
        both.call(protected(both, shop, shop.broken("a"), compensation_attempts=3), 7)
    assert shop.diary[1:] == ["a", "a", "a"]
    assert clock.sleeps == []


def test_a_failing_call_in_a_finaliser_is_no_deadlock(shop: Shop) -> None:
    """G7: the collector may run while a call is counted, and make one; a forked child has a new lock (G18)."""
    compensation = compensate(shop.undo("a"))

    def fail() -> None:
        with contextlib.suppress(ConnectionError):
            compensation.execute_sync(shop.pay, 7)

    def hold() -> None:
        compensation._tally._lock.acquire()
        fail()

    for work in (hold, fail):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        waiting._after_fork()  # the lock is still held, by a thread that a forked child would not have
    assert compensation.compensations == 2


def test_compensations_are_counted(both: Both, shop: Shop) -> None:
    """The counter counts calls that were compensated."""
    compensation = compensate(shop.undo("a"))
    pay = compensation(both.wrap(shop.pay))
    for _ in range(3):
        with pytest.raises(ConnectionError):
            both.call(pay, 7)
    assert compensation.compensations == 3


def test_execute(both: Both, shop: Shop) -> None:
    """The executor does what the decorator does, and knows the function's arguments."""
    states: list[Any] = []
    with pytest.raises(ConnectionError):
        both.execute(compensate(states.append), both.wrap(shop.pay), 7)
    assert states[0]["order"] == 7
    assert both.execute(compensate(states.append), both.wrap(lambda: 3)) == 3


@pytest.mark.parametrize("fails", [False, True])
def test_no_cycle_keeps_the_callers_locals(both: Both, shop: Shop, fails: bool) -> None:
    """G11: with the collector off, what the operation held is gone as soon as the error is."""

    class Held:
        pass

    gone: list[Any] = []

    def pay() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        raise ValueError("own")

    def undo(state: dict[str, Any]) -> None:
        held = Held()
        gone.append(weakref.ref(held))
        if fails:
            raise KeyError("undo")

    expected = CompensationError if fails else ValueError
    decorated = compensate([undo, undo], compensation_attempts=2, compensation_delay=0)(both.wrap(pay))

    def call() -> None:
        with contextlib.suppress(expected):
            decorated()

    async def call_async() -> None:  # not `both.call`: asyncio's runner itself keeps an error that comes out of it
        with contextlib.suppress(expected):
            await decorated()

    body = call_async if both.is_async else call
    both.call(body)  # what the first call imports and caches is not the matter
    gone.clear()
    gc.collect()
    gc.disable()
    try:
        both.call(body)
        assert [each() for each in gone] == [None] * len(gone)
        assert len(gone) == (5 if fails else 3)
    finally:
        gc.enable()


def test_one_object_serves_threads(shop: Shop) -> None:
    """G7, G8: calls in many threads are undone each with its own state, and counted exactly."""
    undone: list[int] = []
    compensation = compensate(lambda state: undone.append(state["number"]))

    @compensation
    def fail(number: int) -> None:
        raise ValueError(number)

    def work(base: int) -> None:
        for number in range(base, base + 100):
            with pytest.raises(ValueError, match=str(number)):
                fail(number)

    threads = [threading.Thread(target=work, args=(base,)) for base in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(undone) == list(range(400))
    assert compensation.compensations == 400


# What differs by colour


def test_a_sync_call_cannot_await(shop: Shop) -> None:
    """An awaitable in a sync call is closed and counts as that action's failure; the others run."""
    closed: list[str] = []

    async def release() -> None:
        closed.append("never")

    class Closing:
        def __await__(self) -> Any:
            yield

        def close(self) -> None:
            closed.append("closed")

    def disguised() -> Any:
        return release()

    pay = compensate([disguised, Closing, shop.undo("b")])(shop.pay)
    with pytest.raises(CompensationError) as caught:
        pay(7)
    assert shop.diary[1:] == ["b"]
    assert closed == ["closed"]
    assert [str(failure) for failure in caught.value.failures] == [
        f"compensation action 'test_a_sync_call_cannot_await.<locals>.{name}' returned an awaitable, which a "
        f"synchronous call cannot await: make the decorated function async, or the action plain"
        for name in ("disguised", "Closing")
    ]


async def test_an_async_call_awaits(shop: Shop) -> None:
    """Example 2: a plain lambda that returns a coroutine is awaited, and so is an async function or a future."""

    async def release(name: str) -> None:
        await asyncio.sleep(0)
        shop.diary.append(name)

    async def notify(state: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        shop.diary.append(state["order"])

    def future() -> asyncio.Future[None]:
        made = asyncio.get_running_loop().create_future()

        def done() -> None:
            shop.diary.append("future")
            made.set_result(None)

        asyncio.get_running_loop().call_soon(done)
        return made

    async def pay(order: int) -> None:
        raise shop.error

    with pytest.raises(ConnectionError):
        await compensate([lambda: release("lambda"), notify, future, shop.undo("plain")])(pay)(7)
    assert shop.diary == ["lambda", 7, "future", "plain"]


async def test_async_callbacks(shop: Shop) -> None:
    """G9: callbacks may be async round async functions."""

    async def start() -> None:
        await asyncio.sleep(0)
        shop.diary.append("start")

    async def complete() -> None:
        await asyncio.sleep(0)
        shop.diary.append("complete")

    async def pay() -> None:
        raise shop.error

    decorated = compensate(shop.undo("a"), on_compensation_start=start, on_compensation_complete=complete)(pay)
    with pytest.raises(ConnectionError):
        await decorated()
    assert shop.diary == ["start", "a", "complete"]


async def test_a_callback_that_hangs_is_cut(shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """S1: no callback holds up a compensation for ever; one at the end has a second at the least."""

    async def hang() -> None:
        await asyncio.sleep(100)

    async def pay() -> None:
        raise shop.error

    began = clock.monotonic()
    with pytest.raises(CompensationError):
        await compensate(shop.undo("a"), saga_timeout=5, on_compensation_start=hang, on_compensation_complete=hang)(
            pay
        )()
    assert clock.monotonic() - began == pytest.approx(6)
    assert shop.diary == []
    assert "hang' has not finished in 5 s" in caplog.text
    assert "hang' has not finished in 1 s" in caplog.text


async def test_context_variables_reach_the_actions(shop: Shop) -> None:
    """An action sees the caller's context variables, whichever task it runs in."""
    import contextvars

    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")

    async def pay() -> None:
        raise shop.error

    async def undo() -> None:
        shop.diary.append(request.get())

    request.set("abc")
    with pytest.raises(ConnectionError):
        await compensate(undo)(pay)()
    assert shop.diary == ["abc"]


async def test_the_operations_timeout_is_its_error(shop: Shop, clock: VirtualClock) -> None:
    """A TimeoutError of the action's own is its failure, not `saga_timeout`."""

    async def undo() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(10)

    async def pay() -> None:
        raise shop.error

    with pytest.raises(CompensationError) as caught:
        await compensate([undo, shop.undo("b")])(pay)()
    assert type(caught.value.failures[0]) is TimeoutError
    assert shop.diary == ["b"]
