"""One call and those who wait for it, without a thread or a loop (F6)."""

from __future__ import annotations

from recoup._core.store import Entry
from recoup.strategies.cache.flight import THROUGH, Flight


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
