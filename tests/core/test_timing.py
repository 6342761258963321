"""Ambient deadlines: nesting, scopes, background tasks, clocks that go backwards."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest
from freezegun import freeze_time

from recoup import subscribe
from recoup._core import clock as seam
from recoup._core import timing
from recoup._core.strategy import Strategy
from recoup._core.timing import Limit, current_deadline, enter, leave, struck_in, time_left
from recoup.errors import DeadlineExceeded
from recoup.events import DeadlineStruck
from recoup.testing import VirtualClock, disabled


class Layer(Strategy):
    kind = "layer"


def limit(seconds: float, name: str | None = "test", owner: Strategy | None = None) -> Limit:
    return Limit(owner, seconds, name)


def opened(seconds: float, name: str | None = "test", owner: Strategy | None = None) -> timing.Term:
    term = enter(limit(seconds, name, owner))
    assert term is not None
    return term


def test_there_is_none_at_first() -> None:
    """Without a deadline there is all the time in the world (D1)."""
    assert current_deadline() is None
    assert time_left() is None


def test_a_deadline_is_a_point_in_time(clock: VirtualClock) -> None:
    """The time left shrinks as the clock goes on, and is never negative (D1)."""
    term = opened(5)
    assert term.at == 1005
    assert time_left() == 5
    clock.advance(2)
    assert time_left() == 3
    assert not term.expired
    clock.advance(3)
    assert time_left() == 0
    assert term.expired
    clock.advance(10)
    assert time_left() == 0
    leave(term)
    assert time_left() is None


@pytest.mark.parametrize(("outer", "inner", "left"), [(5, 3, 3), (3, 5, 3), (4, 4, 4)])
def test_nested_deadlines_combine_by_minimum(clock: VirtualClock, outer: int, inner: int, left: int) -> None:
    """Inside two deadlines the one counts that strikes first (D1)."""
    one = opened(outer, "outer")
    two = opened(inner, "inner")
    assert time_left() == left
    found = current_deadline()
    assert found is not None
    assert found.name == ("inner" if inner < outer else "outer")  # at the same moment the outer one strikes
    leave(two)
    assert time_left() == outer
    leave(one)
    assert time_left() is None


def test_a_call_without_time_is_not_made(clock: VirtualClock) -> None:
    """When an outer deadline has left no time, opening another one is refused, in the outer one's name (G13)."""
    term = opened(2, "outer")
    clock.advance(2)
    with pytest.raises(DeadlineExceeded, match=r"outer: 2 s were used up before the call could start") as caught:
        enter(limit(5, "inner"))
    assert caught.value.started is False
    assert current_deadline() is term
    leave(term)


def test_the_names_and_facts_of_a_deadline(clock: VirtualClock) -> None:
    """A deadline tells who set it, how long it was and what is left."""
    owner = Layer(name="fetch")
    term = opened(5, None, owner)
    assert (term.name, term.owner, term.seconds, term.struck) == ("fetch", owner, 5, False)
    assert repr(term) == "<Deadline 'fetch': 5 s left of 5 s>"
    clock.advance(1.5)
    assert repr(term) == "<Deadline 'fetch': 3.5 s left of 5 s>"
    term.fired = True
    assert repr(term) == "<Deadline 'fetch': struck of 5 s>"
    leave(term)
    nameless = opened(1, None)
    assert nameless.name == "deadline"
    leave(nameless)


def test_a_deadline_that_belongs_to_no_call(clock: VirtualClock) -> None:
    """A bare point in time has nothing that could strike."""
    bare = timing.Deadline(limit(5), 1005)
    assert repr(bare) == "<Deadline 'test': 5 s left of 5 s>"


def test_check_raises_when_the_time_is_up(clock: VirtualClock) -> None:
    """`check()` raises DeadlineExceeded for code that runs already, and only when no time is left (D3)."""
    term = opened(2, "report")
    clock.advance(1.999)
    term.check()
    clock.advance(0.001)
    with pytest.raises(DeadlineExceeded, match="report: not finished within 2 s") as caught:
        term.check()
    assert caught.value.started is True
    assert caught.value.seconds == 2
    leave(term)


def test_a_clock_that_goes_backwards_restarts_the_timer(clock: VirtualClock) -> None:
    """Nobody ever has more time left than the deadline was long, however far the clock goes back (G12)."""
    term = opened(5)
    clock.advance(3)
    clock.rewind(500)
    assert time_left() == 5
    clock.advance(4)
    assert time_left() == 1
    leave(term)


def test_a_small_step_backwards_only_gives_that_time_back(clock: VirtualClock) -> None:
    """A step backwards within the deadline is not told from time that has not passed (G12)."""
    term = opened(5)
    clock.advance(3)
    clock.rewind(1)
    assert time_left() == 3
    leave(term)


def test_frozen_time_is_seen() -> None:
    """Under freezegun a deadline goes by frozen time (G12)."""
    with freeze_time("2024-01-01") as frozen:
        term = opened(5)
        frozen.tick(2)
        assert time_left() == pytest.approx(3)
        frozen.tick(4)
        assert term.expired
        leave(term)


def test_thawing_does_not_leave_an_endless_deadline() -> None:
    """A deadline set in frozen time has at most its own length left when real time comes back (G12)."""
    with freeze_time("2024-01-01"):
        term = opened(5)
    assert term.remaining() <= 5
    leave(term)


def test_a_closed_scope_does_not_count_for_those_who_outlive_it(clock: VirtualClock) -> None:
    """A copy of the context that outlives the scope is not bound by its deadline (G16)."""
    term = opened(5)
    copy = contextvars.copy_context()
    assert copy.run(time_left) == 5
    leave(term)
    clock.advance(10)
    assert copy.run(time_left) is None
    assert copy.run(enter, limit(3)) is not None  # nor is it refused


def test_an_inner_scope_outlives_a_tighter_one(clock: VirtualClock) -> None:
    """When the tightest closes first, the next tightest that is open counts (G16)."""
    outermost = opened(20, "outermost")
    tight = opened(2, "tight")
    copy = contextvars.copy_context()
    inner = copy.run(enter, limit(10, "inner"))
    innermost = copy.run(enter, limit(15, "innermost"))
    assert copy.run(time_left) == 2
    leave(tight)
    assert copy.run(time_left) == 10
    leave(inner)
    assert copy.run(time_left) == 15
    leave(innermost)
    assert copy.run(time_left) == 20
    leave(outermost)
    assert copy.run(time_left) is None


def test_scopes_may_close_in_any_order(clock: VirtualClock) -> None:
    """Closing an outer scope before an inner one leaves the inner one in force (G16)."""
    outer = opened(5, "outer")
    inner = opened(3, "inner")
    leave(outer)
    assert time_left() == 3
    leave(inner)
    assert time_left() is None


def test_a_chain_of_background_work_keeps_nothing_alive() -> None:
    """Work that starts its successor inside its own scope for ever does not keep every deadline there was (G16)."""
    context = contextvars.copy_context()
    seen: list[weakref.ref[Layer]] = []
    for _ in range(50):
        owner = Layer()
        seen.append(weakref.ref(owner))
        term = context.run(enter, limit(5, None, owner))
        successor = context.run(contextvars.copy_context)
        leave(term)
        context = successor
        del owner, term
    assert sum(each() is not None for each in seen) <= 2


def test_a_successor_that_starts_before_its_parent_ends_keeps_nothing_alive_either() -> None:
    """As above when each scope opens while the one before it is still open (G16)."""
    context = contextvars.copy_context()
    seen: list[weakref.ref[Layer]] = []
    before = None
    for _ in range(50):
        owner = Layer()
        seen.append(weakref.ref(owner))
        term = context.run(enter, limit(5, None, owner))
        context = context.run(contextvars.copy_context)
        leave(before)
        before = term
        del owner, term
    assert sum(each() is not None for each in seen) <= 3


def test_other_threads_do_not_see_it(clock: VirtualClock) -> None:
    """A deadline counts in its own context only (G8)."""
    term = opened(5)
    seen: list[float | None] = []
    thread = threading.Thread(target=lambda: seen.append(time_left()))
    thread.start()
    thread.join()
    assert seen == [None]
    leave(term)


async def test_a_task_inherits_it_and_loses_it_with_the_scope(clock: VirtualClock) -> None:
    """A task started inside a scope is bound by its deadline until the scope closes, and not longer (G16)."""
    seen: list[float | None] = []

    async def background() -> None:
        for _ in range(3):
            seen.append(time_left())
            await asyncio.sleep(1)

    term = opened(5)
    task = asyncio.create_task(background())
    await asyncio.sleep(1.5)
    leave(term)
    await task
    assert seen == [5, 4, None]


def test_work_that_must_be_done_is_not_bound_by_what_is_over(clock: VirtualClock) -> None:
    """A scope that does not inherit is not refused and not cut by outer deadlines, only by its own inner ones (S1)."""
    outer = opened(1, "operation")
    clock.advance(1)
    undoing = enter(limit(10, "undoing"), inherit=False)
    assert time_left() == 10
    inner = opened(20, "inner")
    assert time_left() == 10
    copy = contextvars.copy_context()
    leave(inner)
    leave(undoing)
    assert time_left() == 0
    assert copy.run(time_left) == 0
    leave(outer)


def test_a_scope_that_does_not_inherit_still_hides_the_outer_ones_when_searched(clock: VirtualClock) -> None:
    """When a tighter one inside it closes, what counts is looked for no further out than the scope (S1)."""
    outer = opened(1, "operation")
    undoing = enter(limit(10, "undoing"), inherit=False)
    tight = opened(2, "tight")
    copy = contextvars.copy_context()
    inner = copy.run(enter, limit(20, "inner"))
    leave(tight)
    assert copy.run(time_left) == 10
    for term in (inner, undoing, outer):
        leave(term)


def test_nothing_is_set_while_recovery_is_off(clock: VirtualClock) -> None:
    """With recovery switched off no deadline is set and none refuses; leaving nothing is fine (G16)."""
    with disabled():
        term = enter(limit(5))
        assert term is None
        assert time_left() is None
        leave(term)


def test_struck_in_knows_the_timers_of_the_same_stack() -> None:
    """A timer that one of the outer layers set for this call counts, any other does not (G2)."""
    mine, other = Layer(), Layer()
    term = opened(5, "a", mine)
    assert not struck_in((mine,))
    term.fired = True
    assert struck_in((mine,))
    assert struck_in((other, mine))
    assert not struck_in((other,))
    assert not struck_in(())
    leave(term)
    assert not struck_in((mine,))


def test_struck_in_looks_through_looser_scopes_of_the_same_layer() -> None:
    """A layer with an attempt timeout and a total: whichever strikes, it is a timer of the stack (G2)."""
    layer = Layer()
    total = opened(5, "total", layer)
    attempt = opened(1, "attempt", layer)
    total.fired = True
    assert struck_in((layer,))
    leave(attempt)
    leave(total)


def test_the_same_layer_round_another_function_is_another_stack() -> None:
    """A shared strategy object further out limits another call; its timer is the caller's to this stack (G2)."""
    shared = Layer()
    callers = opened(5, None, shared)
    own = opened(1, None, shared)
    callers.fired = True
    assert not struck_in((shared,))
    own.fired = True
    assert struck_in((shared,))
    leave(own)
    leave(callers)


def test_a_queue_in_plain_code_marks_nothing(clock: VirtualClock) -> None:
    """Threads may share a deadline through copies of a context: one that queues says nothing of the others (G13)."""
    term = opened(1)
    clock.advance(1)
    with timing.queueing(), pytest.raises(DeadlineExceeded) as caught:
        term.check()
    assert caught.value.started is True
    leave(term)


def test_listeners_are_told() -> None:
    """A deadline that strikes tells DeadlineStruck with its length and whether the function had begun."""
    told: list[object] = []
    term = opened(2, "fetch")
    with subscribe(told.append):
        timing.exceeded(term)
        timing.exceeded(term, started=False)
    leave(term)
    assert told == [DeadlineStruck("fetch", 2, started=True), DeadlineStruck("fetch", 2, started=False)]


def test_no_reference_cycles() -> None:
    """A deadline is freed the moment its scope is left and its successor opened, without the collector (G11)."""
    gc.disable()
    try:
        owner = Layer()
        gone = weakref.ref(owner)
        leave(opened(5, None, owner))
        del owner
        leave(opened(5))
        assert gone() is None
    finally:
        gc.enable()


def test_the_clock_is_looked_up_when_it_is_used() -> None:
    """A clock replaced while a deadline is open is the one it goes by (G12)."""
    term = opened(5)
    real = seam.monotonic
    try:
        seam.monotonic = lambda: term.at - 1
        assert term.remaining() == pytest.approx(1)
    finally:
        seam.monotonic = real
        leave(term)
