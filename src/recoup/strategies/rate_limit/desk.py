"""The desk of a limiter: one lock, the permits of each key, who waits for them, and who has left."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from itertools import count, islice
from threading import RLock

from recoup._core import clock, waiting
from recoup.strategies.rate_limit.line import Line
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.turns import Demand
from recoup.strategies.rate_limit.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from recoup.strategies.rate_limit.config import RateLimitConfig
    from recoup.strategies.rate_limit.turns import Turn

    Key: TypeAlias = Any  # what `plain_key` lets pass

__all__ = ["Demand", "Desk"]

_LOOKED_AT = 8  # keys that are looked at for an idle one: the longest unused come first, so the first nearly always is

_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # free-threaded builds know the question


class Desk:
    """Where the calls of a limiter get their permits.

    A turn is given back without the lock, because that may happen in a finaliser. If the lock is free, it is taken back
    at once; if not, by the one who holds it, when he lets go. Whoever was called meanwhile is woken then, too.

    Args:
        config: The limits.

    Attributes:
        config: The limits that hold now.
        only: The permits, where there are no keys.
        admit_one: Takes what a call takes that says nothing else, if it is there at a time and nobody waits.
        waited: Calls that had to wait.
        refused: Calls that were refused.
        slowed: How often the service asked for less.
        drained: Permits that were drained.
    """

    def __init__(self, config: RateLimitConfig) -> None:
        self._lock: Any = RLock()  # its owner can be asked for, and no stub says so
        self.config = config
        self._states: OrderedDict[Key, Bucket | Window] = OrderedDict()
        self._returned: deque[Turn] = deque()
        self._called: deque[Turn] = deque()
        self._numbers = count()
        self.waited = 0
        self.refused = 0
        self.slowed = self.drained = 0
        self.only: Bucket | Window = self._made(clock.monotonic())
        self.admit_one: Callable[[float], bool] = self._admit_one
        if _GIL and isinstance(self.only, Bucket):
            self.admit_one = self.only.admit
        waiting.at_fork(self)

    def admit(self, demand: Demand, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        with self._lock:
            taken = self._state_locked(demand.key, now).take(demand.weight, now)
        if self._returned:
            self._serve()
        return taken

    def _admit_one(self, now: float) -> bool:
        weight: Any = self.config.weight
        with self._lock:
            taken = self.only.take(weight, now)
        if self._returned:
            self._serve()
        return taken

    def claim(self, demand: Demand, max_wait: float, left: float, make: Callable[[], Any]) -> Turn | float | None:
        """Take permits, or stand in the line for them, or neither if that would take too long.

        Args:
            demand: How many, and whose.
            max_wait: Seconds that the call waits at most.
            left: Seconds until its deadline: the wait has to be shorter.
            make: Makes what wakes it, if it has to wait.

        Returns:
            `None` if they were taken; the turn of a call that has to wait; seconds for one that would wait too long.
        """
        try:
            with self._lock:
                now = clock.monotonic()  # here, so that no two calls see time go backwards
                if self._returned:
                    self._take_back_locked(now)
                state = self._state_locked(demand.key, now)
                state.correct(now)
                line, weight = state.line, demand.weight
                if line is not None:
                    line.hurry(now)
                if state.take(weight, now):
                    return None
                wait = state.wait(weight, now) if line is None else line.estimate(weight, now)
                if not wait:  # by the last bit of a float
                    state.begin(weight, now)
                    return None
                if wait > max_wait or wait >= left:
                    self.refused += 1
                    return wait
                if line is None:
                    line = state.line = Line(state, self._called.append)
                turn = line.join(next(self._numbers), weight, now, wait, make())
                self.waited += 1
                return turn
        finally:
            if self._returned or self._called:
                self._serve()

    def look(self, turn: Turn, left: float, make: Callable[[], Any], *, woken: bool) -> float:
        """Begin, if that may be; see `Line.look`.

        Args:
            turn: Whose turn it may be.
            left: Seconds until its deadline: if it would have to wait longer, it leaves, and was refused.
            make: Makes what wakes it, if it has to wait on.
            woken: Whether somebody has woken it, and not the time.
        """
        try:
            with self._lock:
                now = clock.monotonic()
                if not woken and now <= turn.asked:  # by this clock no time has passed: it is frozen, or went backwards
                    now = turn.due
                self._take_back_locked(now)
                wait = turn.line.look(turn, now)
                if wait:
                    turn.waiter = make()
                    if wait >= left:
                        turn.line.leave(turn, now)
                        self.refused += 1
                return wait
        finally:
            self._serve()

    def give_back(self, turn: Turn) -> None:
        """Take a call out of the line that will not come, once; from anywhere."""
        self._returned.append(turn)
        self._serve()

    def available(self, key: Key) -> int:
        """Tell how many permits could be taken now."""
        try:
            with self._lock:
                now = clock.monotonic()
                self._take_back_locked(now)
                state = self._states.get(key) if self.config.key is not None else self.only
                return self.config.most if state is None else state.available(now)
        finally:
            self._serve()

    def drain(self, key: Key) -> int:
        """Take all permits that are there, if nobody waits; tell how many."""
        try:
            with self._lock:
                now = clock.monotonic()
                self._take_back_locked(now)
                state = self._state_locked(key, now)
                state.correct(now)
                if state.line is not None:
                    state.line.hurry(now)
                taken = state.drain(now)
                self.drained += taken
                return taken
        finally:
            self._serve()

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return len(self._states)

    def reconfigure(self, config: RateLimitConfig) -> None:
        """Go on with other limits; those who wait keep their places."""
        try:
            with self._lock:
                now = clock.monotonic()
                self._take_back_locked(now)
                self.config = config
                for state in (self.only, *self._states.values()):
                    state.correct(now)
                    state.reconfigure(config, now)
                    _call(state, now)
                while len(self._states) > config.max_keys:
                    self._evict_locked(now)
        finally:
            self._serve()

    def reset(self) -> None:
        """Begin anew with all permits there, no key known and nothing counted; those who wait keep their places."""
        try:
            with self._lock:
                now = clock.monotonic()
                self._take_back_locked(now)
                self.waited = self.refused = self.slowed = self.drained = 0
                for state in (self.only, *self._states.values()):
                    state.reconfigure(self.config, now)  # what was learnt
                    state.reset(now)
                    _call(state, now)
                for key in [key for key, state in self._states.items() if not state.queued]:
                    del self._states[key]
        finally:
            self._serve()

    def learn(self, key: Key, began: float, *, less: bool) -> None:
        """Take a call into account that ended, where the limit adapts."""
        try:
            with self._lock:
                now = clock.monotonic()
                self._take_back_locked(now)
                state = self.only if self.config.key is None else self._states.get(key)
                if isinstance(state, Bucket):
                    self.slowed += less
                    if state.learn(began, now, less=less):
                        _call(state, now)
        finally:
            self._serve()

    def rate(self, key: Key) -> float:
        """Tell how many permits come in a second now."""
        with self._lock:
            state = self._states.get(key) if self.config.key is not None else self.only
            per: Any = self.config.per
            return state.rate if isinstance(state, Bucket) else self.config.rate / per

    def after_fork(self) -> None:
        """Begin anew in the child: those who held the lock, or waited, are not there."""
        self._lock = RLock()
        self._returned.clear()
        self._called.clear()
        for state in (self.only, *self._states.values()):
            if state.line is not None:
                state.line.desert()

    def _made(self, now: float) -> Bucket | Window:
        config = self.config
        return Window(config, now) if config.mode == "window" else Bucket(config, now)

    def _state_locked(self, key: Key, now: float) -> Bucket | Window:
        if self.config.key is None:
            return self.only
        states = self._states
        state = states.get(key)
        if state is None:
            if len(states) >= self.config.max_keys:
                self._evict_locked(now)
            state = states[key] = self._made(now)
        else:
            states.move_to_end(key)
        return state

    def _evict_locked(self, now: float) -> None:
        """Forget a key: of those that were not used for longest, the first that is idle; if none is, the first."""
        oldest = list(islice(self._states, _LOOKED_AT))
        del self._states[next((key for key in oldest if self._states[key].idle(now)), oldest[0])]

    def _take_back_locked(self, now: float) -> None:
        while (turn := _next(self._returned)) is not None:
            turn.line.leave(turn, now)

    def _serve(self) -> None:
        """Take back what was given back, and wake those who were called; whoever holds the lock does it afterwards."""
        while (self._returned or self._called) and not self._lock._is_owned():
            while (turn := _next(self._called)) is not None:
                if not turn.waiter.wake():  # its loop is closed
                    self._returned.append(turn)
            if self._returned:
                if not self._lock.acquire(blocking=False):
                    return
                try:
                    self._take_back_locked(clock.monotonic())
                finally:
                    self._lock.release()


def _next(turns: deque[Turn]) -> Turn | None:
    """Take the first one out; between a look and that, another thread may have taken it."""
    try:
        return turns.popleft()
    except IndexError:
        return None


def _call(state: Bucket | Window, now: float) -> None:
    if state.line is not None:
        state.line.call(now)
