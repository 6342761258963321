"""Run a few threads in every possible order of their atomic steps.

Each actor has a real thread, but only one runs at a time: before each step that others can see, it comes to `step`,
where the schedule decides who goes on. `explore` runs a scenario again and again, each time with another schedule,
until every choice has been made in every state that can be reached. Two runs that meet in the same state go on alike,
so the second one is not followed further. With many actors there are too many schedules; then only those are tried that
interrupt an actor who could go on a few times at most (Musuvathi and Qadeer, "Iterative context bounding for systematic
testing of multithreaded programs", PLDI 2007: nearly all such faults need two).

The code under test is the real one; only its lock, deques and queue are replaced by ones that come to `step`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from functools import cache, partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from recoup._core import waiting
from recoup.strategies.bulkhead import seats, state
from recoup.strategies.bulkhead.strategy import Bulkhead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from recoup.strategies.bulkhead.config import BulkheadConfig
    from recoup.strategies.bulkhead.tickets import Ticket

    Scenario = Callable[["World"], list[Callable[[], None]]]


class Stuck(AssertionError):
    """Somebody waits and nobody is left who could wake him."""


class Cancelled(BaseException):
    """What a cancelled waiter meets instead of the end of its wait."""


class Actor:
    """One thread's part in one run, and what it has seen so far."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.turn = threading.Lock()
        self.turn.acquire()
        self.ready: Callable[[], bool] | None = None  # what it waits for; None: nothing
        self.done = False
        self.quiet = False
        self.steps = 0
        self.seen: list[object] = []
        self.error: BaseException | None = None


class Crew:
    """Threads that play one run after another: to start new ones for each would take longer than the runs."""

    def __init__(self) -> None:
        self._inboxes: list[SimpleQueue[Callable[[], None] | None]] = []

    def play(self, parts: list[Callable[[], None]]) -> None:
        """Have each part played by a thread of its own."""
        while len(self._inboxes) < len(parts):
            inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), daemon=True).start()
            self._inboxes.append(inbox)
        for inbox, part in zip(self._inboxes, parts, strict=False):
            inbox.put(part)

    def dismiss(self) -> None:
        """Send the threads home."""
        while self._inboxes:
            self._inboxes.pop().put(None)

    @staticmethod
    def _serve(inbox: SimpleQueue[Callable[[], None] | None]) -> None:
        while (part := inbox.get()) is not None:
            part()
            del part


class World:
    """One run of a scenario under one schedule.

    Attributes:
        me: The actor who runs now; None before the first and after the last of their steps.
    """

    def __init__(self, crew: Crew, choices: list[int], visited: dict[object, int], most_interruptions: int) -> None:
        self.crew = crew
        self.me: Actor | None = None
        self.choices = choices
        self.visited = visited
        self.interruptions_left = most_interruptions
        self.branches: list[int] = []  # how many could be chosen, at each choice made
        self.fresh = True
        self.actors: list[Actor] = []
        self.log: list[tuple[str, int]] = []
        self.over = threading.Lock()
        self.over.acquire()
        self.stuck = False
        self.lock: Any = None
        self.bulkhead: Any = None
        self.ends: dict[int, str] = {}
        self.inside = self.most_inside = 0

    def step(self, ready: Callable[[], bool] | None = None) -> None:
        """Let the schedule decide who goes on; come back when it is this actor's turn and `ready()` is true."""
        me = self.me
        if me is None or self.stuck:
            return
        me.steps += 1
        if ready is None and not self.interruptions_left:
            return
        me.ready = ready
        self._hand_on(me)
        me.ready = None

    def saw(self, what: object) -> Any:
        """Note what an actor saw, because what it does next depends on it."""
        if (me := self.me) is not None:
            me.seen.append(what)
        return what

    def tell(self, event: str, actor: int | None = None) -> None:
        """Write down what happened."""
        told = self.me if actor is None else self.actors[actor]
        if told is not None and not told.quiet:
            self.log.append((event, told.number))

    def check_limit(self) -> None:
        """See that there is room for the one who was let in a moment ago, whatever the limit is at the moment."""
        places = self.bulkhead._gate.seats
        free = sum(not place.seat.dead for place in list(deque.__iter__(places.free)))
        assert dict.__len__(places.all) - free <= places.limit, self.log

    def run(self, bodies: list[Callable[[], None]]) -> None:
        """Run one actor for each body to the end."""
        self.actors = [Actor(number) for number in range(len(bodies))]
        self.crew.play([partial(self._act, *part) for part in zip(self.actors, bodies, strict=True)])
        self._choose().turn.release()
        assert self.over.acquire(timeout=60), "the schedule itself hangs"
        if self.stuck:
            raise Stuck(f"nobody can go on: {self.log}")
        for actor in self.actors:
            if actor.error is not None:
                raise actor.error

    def _act(self, actor: Actor, body: Callable[[], None]) -> None:
        actor.turn.acquire()
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            actor.error = error
        actor.done = True
        if all(each.done for each in self.actors):
            self.me = None
            self.over.release()
        elif (heir := self._choose()) is not None:
            heir.turn.release()

    def _hand_on(self, me: Actor) -> None:
        heir = self._choose(me)
        if heir is me:
            return
        if heir is not None:
            heir.turn.release()
        me.turn.acquire()

    def _choose(self, me: Actor | None = None) -> Any:
        able: list[Actor] = []
        if me is not None and (me.ready is None or me.ready()):
            if not self.interruptions_left:
                return me
            able.append(me)  # the first choice is to go on
        interrupts = bool(able)
        able += [
            actor
            for actor in self.actors
            if actor is not me and not actor.done and (actor.ready is None or actor.ready())
        ]
        if not able:
            self.stuck = True
            self.me = None
            self.over.release()
            return None
        if len(able) > 1 and (chosen := self._choice(len(able))):
            self.interruptions_left -= interrupts
        else:
            chosen = 0
        self.me = able[chosen]
        return able[chosen]

    def _choice(self, options: int) -> int:
        made = len(self.branches)
        if made >= len(self.choices):
            if self.fresh:
                now = self._fingerprint()
                self.fresh = self.visited.get(now, -1) < self.interruptions_left
                if self.fresh:
                    self.visited[now] = self.interruptions_left
            if not self.fresh:
                return 0
            self.choices.append(0)
        self.branches.append(options)
        return self.choices[made]

    def _fingerprint(self) -> object:
        gate = self.bulkhead._gate
        number = {id(seat): index for index, seat in enumerate(dict.__iter__(gate.seats.all))}

        def shown(subject: object) -> object:
            waiter = getattr(subject, "waiter", None)
            return getattr(waiter, "number", None)

        return (
            tuple((actor.done, actor.steps, tuple(actor.seen)) for actor in self.actors),
            self.lock.owner,
            self.inside,
            tuple(number.get(id(place.seat)) for place in list.__iter__(list(deque.__iter__(gate._free)))),
            (gate.seats.limit, *(seat.barred for seat in dict.__iter__(gate.seats.all))),
            tuple(shown(ticket) for ticket in OrderedDict.__iter__(gate.queue)),
            tuple((note[0].__name__, shown(note[1])) for note in deque.__iter__(gate._notes)),
        )


class SteppedLock:
    """A reentrant lock whose steps are scheduled."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.owner: int | None = None

    def acquire(self, blocking: bool = True) -> bool:
        me = self.world.me
        number = -1 if me is None else me.number
        self.world.step((lambda: self.owner is None) if blocking else None)
        if self.owner is not None:
            assert self.owner != number, "nobody enters twice here"
            return bool(self.world.saw(False))
        self.owner = number
        return bool(self.world.saw(True))

    def release(self) -> None:
        self.world.step()
        self.owner = None
        self.world.saw("released")

    def _is_owned(self) -> bool:
        me = self.world.me
        return self.owner == (-1 if me is None else me.number)


STEPS: dict[type, dict[str, str]] = {
    deque: {"append": "append", "pop": "pop", "popleft": "popleft", "__len__": "len"},
    OrderedDict: {"__len__": "waiting", "__setitem__": "queue", "__delitem__": "leave", "pop": "leave"},
    dict: {"__setitem__": "mint", "__len__": "seats", "__delitem__": "withdraw"},
}


@cache
def stepped(base: type) -> Any:
    """Make a subclass whose methods are steps in the world that it is given as an attribute."""

    def method(name: str, what: str) -> Any:
        original = getattr(base, name)

        def stepping(self: Any, *args: Any) -> Any:
            world = self.world
            world.step()
            try:
                result = original(self, *args)
            except LookupError:
                world.saw(f"{what}: none")
                raise
            world.saw(f"{what}: {result if isinstance(result, int) else '.'}")
            return result

        return stepping

    methods = {name: method(name, what) for name, what in STEPS[base].items()}
    return type(f"Stepped{base.__name__}", (base,), methods)


class SteppedQueue(stepped(OrderedDict)):  # type: ignore[misc]
    """The queue; it tells who joins."""

    def __setitem__(self, ticket: Ticket, value: None) -> None:
        super().__setitem__(ticket, value)
        self.world.tell("queued", ticket.waiter.number)


class SteppedWaiter:
    """Waits in the schedule.

    Its end, as the world has it, is one of these: "patient" waits until it is woken; "late" may be out of time at any
    moment; "cancelled" meets a cancellation, before or after it is woken; so does "gone", whose loop is closed.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.woken = False
        assert world.me is not None
        self.number = world.me.number
        self.end = world.ends.get(self.number, "patient")

    def wake(self) -> bool:
        self.world.step()
        self.woken = True
        self.world.saw("woke")
        return self.end != "gone"

    def gone(self) -> bool:
        return self.end == "gone"

    def wait(self, seconds: float) -> bool:
        self.world.step((lambda: self.woken) if self.end == "patient" else None)
        if self.end in ("cancelled", "gone"):
            raise Cancelled
        return bool(self.world.saw(self.woken))


def prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have gates made of things whose steps are scheduled."""
    monkeypatch.setattr(state, "RLock", lambda: SteppedQueue.world.lock)
    monkeypatch.setattr(state, "deque", stepped(deque))
    monkeypatch.setattr(seats, "deque", stepped(deque))
    monkeypatch.setattr(state, "OrderedDict", SteppedQueue)
    monkeypatch.setattr(waiting, "for_thread", lambda: SteppedWaiter(SteppedQueue.world))


def build(world: World, config: BulkheadConfig, ends: dict[int, str]) -> Bulkhead:
    """Make a bulkhead all of whose steps are scheduled."""
    world.lock = SteppedLock(world)
    for kind in (stepped(deque), stepped(dict), SteppedQueue):
        kind.world = world
    world.ends = ends
    world.bulkhead = Bulkhead(config)
    gate = world.bulkhead._gate
    gate.seats.all = stepped(dict)()
    let_in = gate._let_in

    def let_in_and_tell(ticket: Ticket) -> bool:
        admitted = bool(let_in(ticket))
        if admitted:
            world.tell("admitted", None if ticket.waiter is None else ticket.waiter.number)
            world.check_limit()
        return admitted

    gate._let_in = let_in_and_tell
    take = gate._pop

    def pop_and_tell() -> Any:
        place = take()
        if not place.seat.barred:
            world.tell("admitted")
            world.check_limit()
        return place

    gate._pop = pop_and_tell
    return world.bulkhead  # type: ignore[no-any-return]


def explore(
    scenario: Callable[[World], list[Callable[[], None]]],
    check: Callable[[World], None],
    most_interruptions: int = 10**6,
) -> int:
    """Run a scenario under every schedule with so many interruptions; return how many runs that took."""
    visited: dict[object, int] = {}
    pending: list[list[int]] = [[]]
    runs = 0
    crew = Crew()
    try:
        while pending:
            choices = pending.pop()
            world = World(crew, list(choices), visited, most_interruptions)
            world.run(scenario(world))
            check(world)
            runs += 1
            for depth in range(len(choices), len(world.branches)):
                pending.extend([*world.choices[:depth], other] for other in range(1, world.branches[depth]))
    finally:
        crew.dismiss()
    return runs


def overtaken(log: list[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """Find pairs in a log: the first waited when the second came (or queued up behind it), and was let in later."""
    moments: dict[str, dict[int, int]] = {"queued": {}, "came": {}, "admitted": {}}
    for moment, (event, actor) in enumerate(log):
        moments.get(event, {}).setdefault(actor, moment)
    queued, came, admitted = moments.values()
    for first, since in queued.items():
        for second, arrival in came.items():
            behind = arrival > since or queued.get(second, -1) > since
            if second != first and behind and admitted.get(second, 10**9) < admitted.get(first, -1):
                yield first, second
