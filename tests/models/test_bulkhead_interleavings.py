"""The gate in every order of its atomic steps (B1, B2, B3, G2, G7).

The lock-free way in and out is allowed only because of this: real calls of the real pump, two threads under every
schedule there is, three under all that interrupt somebody twice at most.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from recoup.errors import BulkheadFullError, BulkheadTimeoutError
from recoup.strategies.bulkhead import pumps
from recoup.strategies.bulkhead.config import BulkheadConfig
from tests.strategies.bulkhead.schedules import Cancelled, World, build, explore, overtaken, prepare

if TYPE_CHECKING:
    from collections.abc import Callable


def call(world: World) -> None:
    """Make one call through the pump; note how it ended."""
    gate = world.bulkhead._gate

    def body() -> None:
        world.inside += 1
        world.most_inside = max(world.most_inside, world.inside)
        world.step()
        world.inside -= 1

    world.tell("came")
    pump = pumps.holding(body, gate.take, world.bulkhead._wait, gate.back, gate.queue, gate.settle)
    try:
        pump()
    except BulkheadFullError:
        world.tell("full")
    except BulkheadTimeoutError:
        world.tell("late")
    except Cancelled:
        world.tell("cancelled")
    else:
        world.tell("ran")


def call_again(world: World) -> None:
    """Make two calls, one after the other; of the first one only the end is told, for a log knows an actor's call."""
    gate, me = world.bulkhead._gate, world.me
    assert me is not None
    me.quiet = True
    place: Any = gate.take()
    if place is None:
        place = world.bulkhead._wait()
    gate.back(place)
    if gate.queue:
        gate.settle()
    me.quiet = False
    world.tell("ran")
    call(world)


def drop(world: World) -> None:
    """Take a place and lose it, as a coroutine does that nobody finishes."""
    world.tell("came")
    place: Any = world.bulkhead._gate.take()
    if place is None:
        place = world.bulkhead._wait()
    world.step()
    del place
    world.tell("ran")


def read(world: World) -> None:
    """Read the counts."""
    counts = world.bulkhead._gate.counts()
    assert 0 <= counts.running <= world.bulkhead.config.max_concurrent
    assert counts.peak <= world.bulkhead.config.max_concurrent


def resize(limit: int, world: World) -> None:
    """Change the limit."""
    world.bulkhead._gate.resize(lambda: (limit, 3, 0))


UNLIMITED = 10**6

SCENARIOS: dict[str, tuple[dict[str, int], list[tuple[Callable[[World], None], str]]]] = {
    "two want one place": ({}, [(call, "patient"), (call, "patient")]),
    "three want one place": ({}, [(call, "patient"), (call, "patient"), (call, "patient")]),
    "three want two places": ({"max_concurrent": 2}, [(call, "patient"), (call, "patient"), (call, "patient")]),
    "one runs out of time": ({}, [(call, "patient"), (call, "late")]),
    "one of three runs out of time": ({}, [(call, "patient"), (call, "late"), (call, "patient")]),
    "one of three is cancelled": ({}, [(call, "patient"), (call, "cancelled"), (call, "patient")]),
    "one of three is on a closed loop": ({}, [(call, "patient"), (call, "gone"), (call, "patient")]),
    "no queue": ({"max_queue_size": 0}, [(call, "patient"), (call, "patient"), (call, "patient")]),
    "a queue of one": ({"max_queue_size": 1}, [(call, "patient"), (call, "patient"), (call, "patient")]),
    "one loses its place": ({}, [(drop, "patient"), (call, "patient")]),
    "one of three loses its place": ({}, [(drop, "patient"), (call, "patient"), (call, "patient")]),
    "the limit becomes smaller": (
        {"max_concurrent": 2},
        [(call_again, "patient"), (call, "patient"), (partial(resize, 1), "")],
    ),
    "the limit becomes larger": ({}, [(call, "patient"), (call, "patient"), (partial(resize, 2), "")]),
    "one reads the counts": ({}, [(call, "patient"), (call, "patient"), (read, "patient")]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_schedule_breaks_the_gate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds, nobody is overtaken or left asleep, and every place comes back, in whatever order (B1)."""
    limits, cast = SCENARIOS[name]
    config = BulkheadConfig(**{"max_concurrent": 1, "max_queue_size": 3, **limits})  # type: ignore[arg-type]
    ends = {number: end for number, (_, end) in enumerate(cast)}
    prepare(monkeypatch)

    def scenario(world: World) -> list[Callable[[], None]]:
        build(world, config, ends)
        return [partial(part, world) for part, _ in cast]

    def check(world: World) -> None:
        most = max(config.max_concurrent, world.bulkhead._gate.seats.limit)
        assert world.most_inside <= most
        assert not list(overtaken(world.log)), world.log
        counts = world.bulkhead._gate.counts()
        assert (counts.running, counts.waiting) == (0, 0), world.log
        events = [event for event, _ in world.log]
        assert counts.executed == events.count("ran")
        assert counts.rejected == events.count("full")
        assert counts.timeout == events.count("late")
        assert counts.peak <= most

    runs = explore(scenario, check, UNLIMITED if len(cast) == 2 else 2)
    assert runs > 1000, "there are too few schedules to mean anything"
