"""The cache beside a ledger in plain Python: one call for a miss, whoever comes, gives up or calls itself (F6).

The machine plays threads and tasks by hand: each caller has a context of its own, and every step of it (look, be woken,
return, fail, be cancelled) is a rule. The ledger knows who calls and who waits for whom.
"""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup._core.store import Entry
from recoup.errors import CircuitBreakerError
from recoup.strategies.cache.config import CacheConfig
from recoup.strategies.cache.run import Hit, Run
from recoup.strategies.cache.state import Shelf

pytestmark = pytest.mark.slow

KEYS = [("a",), ("b",), ("c",)]
keys = st.sampled_from(KEYS)
often = st.sampled_from([KEYS[0], KEYS[0], KEYS[0], KEYS[1]])


class FakeWaiter:
    """Remembers that it was woken."""

    def __init__(self) -> None:
        self.woken = False

    def wake(self) -> bool:
        self.woken = True
        return True

    def gone(self) -> bool:
        return False


class Oops(Exception):
    pass


@dataclass(eq=False)
class Flight:
    """One call of the function, as the ledger sees it."""

    key: Any
    leader: Caller | None = None
    outcome: Any = None


@dataclass(eq=False)
class Caller:
    """Somebody who wants an answer."""

    number: int
    flight: Flight
    run: Any
    context: Context
    within: tuple[Caller, ...]  # the calls that this one is part of
    refresh: bool = False
    edges: tuple[Flight, ...] = ()  # what waits because this caller waits


@dataclass
class Ledger:
    """What has been answered, who calls and who waits."""

    entries: dict[Any, list[Any]] = field(default_factory=dict)  # key: [kind, value, stored]
    flights: dict[Any, Flight] = field(default_factory=dict)  # under way
    waiting: list[Caller] = field(default_factory=list)
    calling: list[Caller] = field(default_factory=list)

    def waits_for(self, flight: Flight) -> set[int]:
        """Number the flights that a flight waits for, through any number of others."""
        reached: set[int] = set()
        todo = [flight]
        while todo:
            one = todo.pop()
            for caller in self.waiting:
                if one in caller.edges and caller.flight.outcome is None and id(caller.flight) not in reached:
                    reached.add(id(caller.flight))
                    todo.append(caller.flight)
        return reached

    def part_of(self, within: tuple[Caller, ...]) -> tuple[Flight, ...]:
        """List the flights that somebody is part of and that are not over."""
        return tuple(each.flight for each in within if each in self.calling)


class CacheMachine(RuleBasedStateMachine):
    """Callers come, wait, call, return, fail, are cancelled, time out, call one another and themselves."""

    @initialize(
        revalidate=st.sampled_from([0.0, 5.0]),
        if_error=st.sampled_from([0.0, 20.0]),
        negative=st.sampled_from([None, 3.0]),
    )
    def begin(self, revalidate: float, if_error: float, negative: float | None) -> None:
        self.now = 100.0
        self.number = 0
        self.config = CacheConfig(
            ttl=10, stale_while_revalidate=revalidate, stale_if_error=if_error, negative_ttl=negative
        )
        self.shelf = Shelf(self.config)
        self.ledger = Ledger()

    def kind_of(self, key: Any) -> tuple[str, Any]:
        """Say by the book what is known about a key: fresh, raised, stale, old or nothing."""
        kind, value, stored = self.ledger.entries.get(key, ("", None, self.now))
        age = self.now - stored
        if kind == "error":
            return ("raised", value) if age < (self.config.negative_ttl or 0) else ("nothing", None)  # type: ignore[operator]
        if not kind:
            return "nothing", None
        if age < 10:
            return "fresh", value
        if age < 10 + self.config.stale_while_revalidate:  # type: ignore[operator]
            return "stale", value
        return "old", value

    def answers_error(self, key: Any) -> Any:
        kind, value, stored = self.ledger.entries.get(key, ("", None, self.now))
        return value if kind == "result" and self.now - stored < 10 + self.config.stale_if_error else None  # type: ignore[operator]

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(wanted=st.lists(often, min_size=1, max_size=4))
    def call(self, wanted: list[Any]) -> None:
        for key in wanted:
            self._call(key, Context(), ())

    @precondition(lambda self: self.ledger.calling)
    @rule(key=keys, data=st.data())
    def call_from_a_call(self, key: Any, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from(self.ledger.calling))
        self._call(key, parent.context.run(copy_context), (*parent.within, parent))

    def _call(self, key: Any, context: Context, within: tuple[Caller, ...]) -> None:
        ledger = self.ledger
        found = context.run(self.shelf.look, key, self.now, FakeWaiter)
        kind, value = self.kind_of(key)
        flight = ledger.flights.get(key)
        if kind == "fresh":
            assert isinstance(found, (Hit, Run))
            assert found.take() == value
            assert found.waiter is None
            return
        if kind == "raised":
            assert isinstance(found, Run)
            assert found.answer.error.args == value  # type: ignore[union-attr]
            return
        free = flight is None or flight.leader is None
        if kind == "stale":
            assert isinstance(found, Run)
            assert found.take() == value
            assert (found.stale is not None) is free
            if free:
                self._lead(key, found, Context(), (), refresh=True)
            return
        if free:
            assert isinstance(found, Run)
            assert found.leads
            self._lead(key, found, context, within)
            return
        assert flight is not None
        ours = ledger.part_of(within)
        circular = flight in ours or bool(ledger.waits_for(flight) & {id(each) for each in ours})
        assert (found is None) is circular
        if isinstance(found, Run):
            assert found.waiter is not None
            ledger.waiting.append(Caller(self._next(), flight, found, context, within, edges=ours))

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _lead(self, key: Any, run: Run, context: Context, within: tuple[Caller, ...], *, refresh: bool = False) -> None:
        flight = self.ledger.flights.setdefault(key, Flight(key))
        assert flight.leader is None, "two calls for one key"
        caller = Caller(self._next(), flight, run, context, within, refresh)
        if refresh:
            context.run(run.begin)
        flight.leader = caller
        self.ledger.calling.append(caller)

    def _leader(self, data: st.DataObject) -> Caller:
        caller = data.draw(st.sampled_from(self.ledger.calling))
        self.ledger.calling.remove(caller)
        caller.flight.leader = None
        return caller

    def _end(self, caller: Caller, outcome: Any) -> bool:
        """Note the outcome; tell whether it may be stored."""
        caller.flight.outcome = outcome
        current = self.ledger.flights.get(caller.flight.key) is caller.flight
        if current:
            del self.ledger.flights[caller.flight.key]
        return current

    @precondition(lambda self: self.ledger.calling)
    @rule(data=st.data(), useless=st.booleans(), keep=st.booleans())
    def returns(self, data: st.DataObject, useless: bool, keep: bool) -> None:
        caller = self._leader(data)
        value: Any = iter(()) if useless else self._next()
        assert caller.context.run(partial(caller.run.done, value, self.now, keep=keep)) is not useless
        if self._end(caller, "through" if useless else ("value", value)) and not useless and keep:
            self.ledger.entries[caller.flight.key] = ["result", value, self.now]

    @precondition(lambda self: self.ledger.calling)
    @rule(data=st.data(), refused=st.booleans())
    def fails(self, data: st.DataObject, refused: bool) -> None:
        caller = self._leader(data)
        key, number = caller.flight.key, self._next()
        error = CircuitBreakerError(name=str(number), wait_time=1) if refused else Oops(number)
        gone = self.ledger.flights.get(key) is not caller.flight
        old = None if gone else self.answers_error(key)
        found = caller.context.run(lambda: caller.run.failed(error, self.now, own=False))
        assert (None if found is None else found.value) == old
        current = self._end(caller, ("value", old) if old is not None else ("error", error))
        if current and old is None and self.config.negative_ttl is not None and not caller.refresh and not refused:
            self.ledger.entries[key] = ["error", (number,), self.now]

    @precondition(lambda self: self.ledger.calling)
    @rule(data=st.data(), own=st.booleans())
    def gives_up(self, data: st.DataObject, own: bool) -> None:
        caller = self._leader(data)
        old = self.answers_error(caller.flight.key)
        if own and (old is None or self.ledger.flights.get(caller.flight.key) is not caller.flight):
            caller.context.run(lambda: caller.run.failed(TimeoutError(), self.now, own=True))
        else:
            caller.context.run(caller.run.abandoned)
        waited_for = any(each.flight is caller.flight for each in self.ledger.waiting)
        if not waited_for and self.ledger.flights.get(caller.flight.key) is caller.flight:
            del self.ledger.flights[caller.flight.key]

    @precondition(lambda self: any(caller.run.waiter.woken for caller in self.ledger.waiting))
    @rule(data=st.data(), in_time=st.booleans())
    def wakes(self, data: st.DataObject, in_time: bool) -> None:
        ledger = self.ledger
        caller = data.draw(st.sampled_from([each for each in ledger.waiting if each.run.waiter.woken]))
        flight = caller.flight
        in_vain = caller.context.run(caller.run.woken, in_time)
        if flight.outcome is not None:
            assert not in_vain
            assert caller.run.waiter is None
            ledger.waiting.remove(caller)
            self._check_answer(caller.run, flight.outcome)
        elif not in_time:
            assert in_vain
            self._left(caller)
        elif flight.leader is None:
            assert caller.run.leads
            ledger.waiting.remove(caller)
            flight.leader = caller
            ledger.calling.append(caller)
        else:
            assert not caller.run.waiter.woken

    def _check_answer(self, run: Run, outcome: Any) -> None:
        if outcome == "through":
            assert run.answer is None
            assert not run.leads
            assert run.done(1, self.now)  # it calls by itself, and nobody hears of it
            return
        kind, value = outcome
        if kind == "value":
            assert run.take() == value
            return
        with pytest.raises(type(value)) as caught:
            run.take()
        assert caught.value is not value
        assert type(caught.value) is type(value)
        assert (caught.value.args, vars(caught.value)) == (value.args, vars(value))

    def _left(self, caller: Caller) -> None:
        self.ledger.waiting.remove(caller)
        flight = caller.flight
        nobody = flight.leader is None and not any(each.flight is flight for each in self.ledger.waiting)
        if nobody and self.ledger.flights.get(flight.key) is flight:
            del self.ledger.flights[flight.key]

    @precondition(lambda self: self.ledger.waiting)
    @rule(data=st.data(), dropped=st.booleans())
    def is_cancelled(self, data: st.DataObject, dropped: bool) -> None:
        caller = data.draw(st.sampled_from(self.ledger.waiting))
        if dropped:
            caller.run.__del__()  # what the collector does
        else:
            caller.run.abandoned()
        self._left(caller)

    @precondition(lambda self: self.ledger.entries or self.ledger.waiting)
    @rule(key=often)
    def forget(self, key: Any) -> None:
        usable = self.kind_of(key)[0] in {"fresh", "raised", "stale"}
        found = self.shelf.store.forget(key)
        assert found or not usable  # what nobody can use any more may be gone already
        assert not found or key in self.ledger.entries
        self.ledger.entries.pop(key, None)
        self.ledger.flights.pop(key, None)

    @rule(
        revalidate=st.sampled_from([0.0, 5.0]),
        if_error=st.sampled_from([0.0, 20.0]),
        negative=st.sampled_from([None, 3.0]),
    )
    def reconfigure(self, revalidate: float, if_error: float, negative: float | None) -> None:
        """Judge what is kept by other times from now on (B5)."""
        self.config = CacheConfig(
            ttl=10, stale_while_revalidate=revalidate, stale_if_error=if_error, negative_ttl=negative
        )
        self.shelf.reconfigure(lambda: self.config)

    @precondition(lambda self: self.ledger.entries or self.ledger.calling)
    @rule()
    def reset(self) -> None:
        """Forget everything; who calls or waits goes on, and what comes of it is not kept."""
        self.shelf.store.clear()
        self.ledger.entries.clear()
        self.ledger.flights.clear()

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        ledger = getattr(self, "ledger", Ledger())
        for caller in ledger.waiting:
            if caller.flight.outcome is not None:
                assert caller.run.waiter.woken, "it has landed, and a follower sleeps"
            elif caller.flight.leader is None:
                fellows = [each.run.waiter for each in ledger.waiting if each.flight is caller.flight]
                assert any(waiter.woken for waiter in fellows), "nobody calls, and all sleep"
            for outer in caller.edges:
                assert id(outer) not in ledger.waits_for(outer), "they wait for one another"

    @invariant()
    def everybody_stands_where_he_should(self) -> None:
        ledger = getattr(self, "ledger", Ledger())
        for caller in ledger.calling:
            flight = caller.run._flight
            awaited = [each.run._flight for each in ledger.waiting if caller.flight in each.edges]
            assert sorted(map(id, flight.awaits)) == sorted(map(id, awaited))
            fellows = {each.run.waiter for each in ledger.waiting if each.flight is caller.flight}
            assert set(flight.waiting) == {waiter for waiter in fellows if not waiter.woken}

    @invariant()
    def no_empty_slot_is_left(self) -> None:
        for row in self.shelf.store.rows.values() if hasattr(self, "shelf") else ():
            for slot in row:
                assert slot.key in self.ledger.entries or slot.busy is not None

    def teardown(self) -> None:
        """End every call; nothing may be left under way."""
        if not hasattr(self, "ledger"):
            return
        for caller in self.ledger.calling:
            caller.context.run(caller.run.abandoned)
        for caller in self.ledger.waiting:
            caller.run.abandoned()
        self.shelf.store.put(("last",), Entry(1, self.now))
        assert not any(slot.entry is None for row in self.shelf.store.rows.values() for slot in row)


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
