"""One call and those who wait for it, without a thread or a loop (F6)."""

from __future__ import annotations

from contextvars import Context
from typing import Any

from recoup._core.store import Entry
from recoup.strategies.cache.config import CacheConfig
from recoup.strategies.cache.flight import THROUGH, Flight
from recoup.strategies.cache.run import Run
from recoup.strategies.cache.state import Shelf


class FakeWaiter:
    """Counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> bool:
        self.woken += 1
        return True

    def gone(self) -> bool:
        return False


def test_there_is_one_lead() -> None:
    """It can be taken once, and again after it was handed on."""
    flight = Flight()
    assert [flight.take(), flight.take()] == [True, False]
    flight.hand_on()
    assert [flight.take(), flight.take()] == [True, False]


def test_everybody_is_woken_once() -> None:
    """Landing and handing on wake all who wait, each once; who is woken stands in line again or not."""
    for end in (Flight.hand_on, lambda flight: flight.land(THROUGH)):
        flight = Flight()
        waiters = [FakeWaiter() for _ in range(3)]
        for waiter in waiters:
            flight.waiting[waiter] = None
        end(flight)
        end(flight)
        assert [waiter.woken for waiter in waiters] == [1, 1, 1]
        assert flight.waiting == {}


def test_it_is_idle_without_anybody() -> None:
    """Who takes part is counted."""
    flight = Flight()
    assert flight.idle
    flight.crew.append(True)
    assert not flight.idle


def test_who_waits_for_whom() -> None:
    """It is found through any number of flights, in circles, and not through those that have landed."""
    one, two, three, four = (Flight() for _ in range(4))
    one.awaits = [two, three]
    two.awaits = [three, one]
    three.awaits = [two, four]
    assert one.reaches([four])
    assert one.reaches([three])
    assert not four.reaches([one])
    assert not one.reaches([])
    assert not one.reaches([Flight()])
    three.land(Entry(1, 0.0))
    assert not one.reaches([four])
    assert not two.reaches([four])


def test_nobody_leads_between_the_end_of_a_call_and_its_entry() -> None:
    """Whoever comes while a result is being stored finds the flight or the entry, never neither (F6)."""
    shelf = Shelf(CacheConfig())
    run = shelf.look(("a",), 0.0, FakeWaiter)
    assert isinstance(run, Run)
    assert run.leads
    real: Any = shelf.store._lock
    found: list[Any] = []

    class Crowded:
        """A lock before and after which others come."""

        def __enter__(self) -> None:
            found.append(self.come())
            real.acquire()

        def __exit__(self, *_: object) -> None:
            real.release()
            found.append(self.come())

        def come(self) -> Any:
            shelf.store._lock = real
            one = Context().run(shelf.look, ("a",), 0.0, FakeWaiter)
            shelf.store._lock = self
            return one

    shelf.store._lock = Crowded()
    assert run.done("result", 0.0)
    shelf.store._lock = real
    before, after = found[:2]
    assert not before.leads
    assert before.waiter.woken == 1
    assert not before.woken(True)
    assert before.take() == "result"
    assert after.take() == "result"
    assert before.answer is after.answer
