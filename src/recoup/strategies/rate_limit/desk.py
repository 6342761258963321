"""The desk of a limiter: one lock, the permits of each key, and the claims that were given back."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from itertools import islice
from threading import RLock
from typing import NamedTuple

from recoup._core import clock, waiting
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from recoup.strategies.rate_limit.claims import Claim
    from recoup.strategies.rate_limit.config import RateLimitConfig

    Key: TypeAlias = Any  # what `plain_key` lets pass

__all__ = ["Demand", "Desk"]

_LOOKED_AT = 8  # keys that are looked at for an idle one: the longest unused come first, so the first nearly always is


_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # free-threaded builds know the question


class Demand(NamedTuple):
    """What a call asks for: how many permits, and of whose."""

    weight: int
    key: Key = None


class Desk:
    """Where the calls of a limiter get their permits.

    Claims that are not used are given back without the lock, because that may happen in a finaliser. Whoever next does
    not find permits there at once, or asks how many there are, takes them back first.

    Args:
        config: The limits.

    Attributes:
        config: The limits that hold now.
        only: The permits, where there are no keys.
        admit_one: Takes what a call takes that says nothing else, if it is there at a time and nobody waits.
        waited: Calls that had to wait.
        refused: Calls that were refused.
    """

    def __init__(self, config: RateLimitConfig) -> None:
        self._lock = RLock()
        self.config = config
        self._states: OrderedDict[Key, Bucket | Window] = OrderedDict()
        self._returned: deque[Claim] = deque()
        self.waited = 0
        self.refused = 0
        self.only: Bucket | Window = self._made(clock.monotonic())
        self.admit_one: Callable[[float], bool] = self._admit_one
        if _GIL and isinstance(self.only, Bucket):
            self.admit_one = self.only.admit
        waiting.at_fork(self)

    def admit(self, demand: Demand, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        with self._lock:
            return self._state_locked(demand.key, now).take(demand.weight, now)

    def _admit_one(self, now: float) -> bool:
        weight: Any = self.config.weight
        with self._lock:
            return self.only.take(weight, now)

    def claim(self, demand: Demand, max_wait: float, left: float) -> Claim:
        """Take permits now or set some aside; see `Permits.reserve`."""
        with self._lock:
            now = clock.monotonic()  # here, so that no two claims see time go backwards
            self._take_back_locked(now)
            claim = self._state_locked(demand.key, now).reserve(demand.weight, now, max_wait, left)
            if not claim.granted:
                self.refused += 1
            elif claim.wait:
                self.waited += 1
            return claim

    def give_back(self, claim: Claim) -> None:
        """Give back what was set aside and will not be used, once; from anywhere."""
        self._returned.append(claim)

    def available(self, key: Key) -> int:
        """Tell how many permits could be taken now."""
        with self._lock:
            now = clock.monotonic()
            self._take_back_locked(now)
            state = self._states.get(key) if self.config.key is not None else self.only
            return self.config.most if state is None else state.available(now)

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return len(self._states)

    def reconfigure(self, config: RateLimitConfig) -> None:
        """Go on with other limits."""
        with self._lock:
            now = clock.monotonic()
            self._take_back_locked(now)
            self.config = config
            for state in (self.only, *self._states.values()):
                state.reconfigure(config, now)
            while len(self._states) > config.max_keys:
                self._evict_locked(now)

    def after_fork(self) -> None:
        """Begin anew in the child: those who held the lock, or waited, are not there."""
        self._lock = RLock()
        self._returned.clear()
        now = clock.monotonic()
        for state in (self.only, *self._states.values()):
            state.desert(now)

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
        while self._returned:
            claim = self._returned.popleft()
            claim.state.cancel(claim, now)
