"""What the pumps and blocks of a throttle ask: may this call pass, and did the service accept it?

Here the balance meets the clock, the lot, the user's conditions and the listeners; all but the first two outside its
lock.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

from recoup._core import clock, conditions, emit, mode, timing, waiting
from recoup._core.chain import Pending
from recoup.errors import ThrottledError
from recoup.strategies.throttle.state import Balance

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup._core.strategy import Strategy
    from recoup.strategies.throttle.config import AdaptiveThrottleConfig

__all__ = ["Calls"]

# Control flow that no timer of ours sends: it never says anything about the service.
_NOT_OURS = (GeneratorExit, KeyboardInterrupt, SystemExit)


class Calls:
    """One throttle as its calls see it.

    Args:
        owner: The strategy object, for its name.
        config: What counts.

    Attributes:
        config: What counts now.
    """

    def __init__(self, owner: Strategy, config: AdaptiveThrottleConfig) -> None:
        self._owner = owner
        self._judge(config)
        self.after_fork()
        waiting.at_fork(self)

    def _judge(self, config: AdaptiveThrottleConfig) -> None:
        counts = conditions.compiled("failure_on", Exception if config.failure_on is None else config.failure_on)
        if config.ignore_on is not None:
            counts &= ~conditions.compiled("ignore_on", config.ignore_on)
        self.config = config
        self._bad = config.failure_on_result
        self._counts = conditions.some("failure_on", counts)

    def after_fork(self) -> None:
        """Begin anew in a forked child: a thread that is not there may have been counting (rule G18)."""
        seconds: Any = self.config.window_duration  # the config has made it seconds
        # Reentrant: a signal handler or a finaliser that makes a call of its own may interrupt a decision.
        lock: Any = RLock()
        self._acquire: Callable[[], bool] = lock.acquire
        self._release: Callable[[], None] = lock.release
        self._owned: Callable[[], bool] = lock._is_owned
        self._balance = Balance(self.config.multiplier, seconds, clock.monotonic())

    def admit(self) -> None:
        """Let a call pass.

        Raises:
            ThrottledError: If it is held back.
        """
        now = clock.monotonic()
        balance = self._balance
        if balance.calm_from <= now < balance.calm_until:
            return
        if (mode.active and mode.off()) or self._owned():
            return
        self._acquire()
        try:
            now = clock.monotonic()  # again: waiting for the lock must not look like a clock that goes backwards
            passes, odds = balance.admits(now, clock.random), balance.odds(now)
        finally:
            self._release()
        if not passes:
            if emit.listeners:
                from recoup.events import CallRefused  # noqa: PLC0415 - nobody pays for events who does not listen

                emit.tell(CallRefused(self._owner.name, self._owner.kind, None))
            raise ThrottledError(name=self._owner.name, odds=odds)

    def returned(self, result: object) -> None:
        """Count a call that returned something."""
        if self._bad is not None and self._turned_down(result):
            self._record(accepted=False)
            return
        balance = self._balance
        if balance.calm_from <= clock.monotonic() < balance.calm_until:
            balance.tick()
        else:
            self._record(accepted=True)

    def failed(self, error: BaseException, outer: tuple[Strategy, ...], *, theirs: bool = False) -> None:
        """Judge what a call ended with instead of a result.

        Args:
            error: Not accepted, or neutral: the condition decides for an `Exception`; control flow is neutral unless a
                timer of the same stack cut the call off (G2).
            outer: The layers outside this one in the same stack.
            theirs: The consumer of a stream threw it in.
        """
        if isinstance(error, Pending):  # the asynchronous pass goes on with a call that has been let through (G5)
            error.spent[id(self)] = 1
            return
        if theirs or (mode.active and mode.off()):
            return
        if isinstance(error, Exception):
            counts = self._counts(error)
        else:
            counts = bool(outer) and not isinstance(error, _NOT_OURS) and timing.struck_in(outer)
        if counts:
            self._record(accepted=False)

    def seen(self) -> tuple[float, int, int, int]:
        """Tell the odds, requests, accepts, and how many calls were held back, at one moment."""
        balance = self._balance
        if self._owned():  # in the midst of a decision that a signal handler or finaliser has interrupted
            return balance.told()
        self._acquire()
        try:
            balance.odds(clock.monotonic())
            return balance.told()
        finally:
            self._release()

    def reconfigure(self, config: AdaptiveThrottleConfig) -> None:
        """Go on with another config; calls that run are judged by it when they end."""
        seconds: Any = config.window_duration
        self._acquire()
        try:
            self._judge(config)
            self._balance.reconfigure(config.multiplier, seconds, clock.monotonic())
        finally:
            self._release()

    def reset(self) -> None:
        """Forget all calls."""
        self._acquire()
        try:
            self._balance.reset(clock.monotonic())
        finally:
            self._release()

    def _turned_down(self, result: object) -> bool:
        """Ask the user's predicate; with recovery off nothing counts as a failure."""
        bad: Any = self._bad  # there is one, and there will be: that cannot be reconfigured
        return not (mode.active and mode.off()) and bool(conditions.plainly("failure_on_result", bad(result)))

    def _record(self, *, accepted: bool) -> None:
        if self._owned():  # in the midst of a decision that a signal handler or finaliser has interrupted
            return
        self._acquire()
        try:
            self._balance.record(clock.monotonic(), accepted=accepted)
        finally:
            self._release()
