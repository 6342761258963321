"""A clock that moves only when it is told to, or when somebody sleeps.

It stands in for the functions of the seam (`recoup._core.clock`) that tell the time or let it pass. The time is kept in
whole nanoseconds, so that ten sleeps of 0.1 s are exactly one second and an event loop on top never misses a timer by
the last bit of a float.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recoup._core import clock as seam

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Any, Protocol, Self

    from recoup._core.waiting import TaskWaiter, ThreadWaiter

    class Jumping(Protocol):
        """A clock of somebody else that can be asked and pushed: Trio's `MockClock`."""

        def current_time(self) -> float: ...
        def jump(self, seconds: float) -> None: ...


__all__ = ["VirtualClock", "active_clock", "let_pass", "let_pass_async"]

_REPLACED = {  # names of the seam, and what stands in for them
    **{name: name for name in ("monotonic", "wall", "sleep", "sleep_async")},
    "rest": "_rest",
    "rest_async": "_rest_async",
}
_NANO = 1_000_000_000
# freezegun remembers where in a module it has found a clock, as long as the module has the same names. It would replace
# a virtual one that is in the same place now. With another name in the module it looks again.
_SIGN = "virtual_clock"

_active: list[VirtualClock] = []  # innermost last


def active_clock() -> VirtualClock | None:
    """Tell which virtual clock recoup reads at the moment; None means the real one."""
    return _active[-1] if _active else None


def let_pass(seconds: float) -> None:
    """Let the time of a slow dependency pass: at once on the active clock, which does not count it as recoup's."""
    clock = active_clock()
    if clock is None:
        time.sleep(seconds)
    else:
        clock.advance(seconds)


async def let_pass_async(seconds: float) -> None:
    """Let the time of a slow dependency pass in the running task."""
    clock = active_clock()
    if clock is not None and not clock._drives_running_loop():
        clock.advance(seconds)
        seconds = 0
    await _REAL_SLEEP_ASYNC(seconds)


def _nanos(argument: str, seconds: float) -> int:
    if not math.isfinite(seconds):
        raise ValueError(f"{argument} must be a finite number of seconds, not {seconds!r}")
    return round(seconds * _NANO)


class VirtualClock:
    """Replace recoup's clock by one that costs no time.

    While the clock is active (`with VirtualClock() as clock:`) everything recoup does in this process reads it: a retry
    that waits a minute returns at once, and `clock.sleeps` says how long it would have waited. Only recoup is affected:
    `time.sleep` of your own code still sleeps. asyncio timers cost no time either on a `VirtualEventLoop`; on any other
    event loop recoup's own pauses are virtual and the loop's timers are real. Under Trio let it follow Trio's
    `MockClock` (see `following`).

    Safe to use from several threads. Threads that sleep at the same time add up: the clock cannot know that they
    overlap.

    Args:
        start: What `monotonic()` tells first, in seconds; default 1000.
        wall: What `wall()` tells first, in seconds since 1970; default 2023-11-14 22:13:20 UTC.

    Example:
        >>> from recoup.testing import VirtualClock
        >>> with VirtualClock() as clock:
        ...     began = clock.monotonic()
        ...     clock.sleep(60)
        ...     clock.advance(0.5)
        ...     clock.monotonic() - began, clock.sleeps
        (60.5, [60])
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._now = self._start = _nanos("start", start)
        self._wall_ahead = _nanos("wall", wall) - self._now
        self._sleeps: list[float] = []
        self._replaced: list[Any] = []
        self._leader: tuple[Jumping, int] | None = None  # the clock it follows, and how far it is ahead of that one

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.monotonic()} s, {len(self._sleeps)} sleeps>"

    @property
    def elapsed(self) -> float:
        """Tell how many seconds have passed since the clock was made."""
        return (self._time() - self._start) / _NANO

    @property
    def sleeps(self) -> list[float]:
        """Give all pauses of recoup so far, sync and async, in seconds and in order; a copy, without those of zero."""
        with self._lock:
            return list(self._sleeps)

    def monotonic(self) -> float:
        """Tell the virtual time in seconds."""
        return self._time() / _NANO

    def wall(self) -> float:
        """Tell the virtual time of day in seconds since 1970."""
        return (self._time() + self._wall_ahead) / _NANO

    def sleep(self, seconds: float) -> None:
        """Let `seconds` (0 or more) pass at once, and remember them.

        Raises:
            ValueError: If `seconds` is negative, infinite or not a number.
        """
        self._remember(seconds)
        self.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Sleep `seconds` (0 or more) in the running loop and remember them; virtual on any loop.

        Raises:
            ValueError: If `seconds` is negative, infinite or not a number.
        """
        self._remember(seconds)
        if self._drives_running_loop():
            await _REAL_SLEEP_ASYNC(seconds)
            return
        self.advance(seconds)
        await _REAL_SLEEP_ASYNC(0)

    def advance(self, seconds: float) -> None:
        """Move the clock forwards by `seconds` (0 or more); timers that are due fire when their loop runs next.

        Raises:
            ValueError: If `seconds` is negative, infinite or not a number.
        """
        nanos = _not_negative("advance", seconds)
        with self._lock:
            self._forwards(nanos)

    def rewind(self, seconds: float) -> None:
        """Move the clock backwards by `seconds` (0 or more), as a broken machine would.

        Raises:
            ValueError: If `seconds` is negative, infinite or not a number.
        """
        nanos = _not_negative("rewind", seconds)
        with self._lock:
            if self._leader is None:
                self._now -= nanos
            else:
                leader, ahead = self._leader
                self._leader = leader, ahead - nanos

    def jump_wall(self, seconds: float) -> None:
        """Set the time of day forwards, or backwards if negative; the monotonic clock does not notice.

        Raises:
            ValueError: If `seconds` is infinite or not a number.
        """
        with self._lock:
            self._wall_ahead += _nanos("jump_wall", seconds)

    def reach(self, moment: float) -> None:
        """Move forwards to `moment` (as told by `monotonic`); do nothing if it has passed already.

        Raises:
            ValueError: If `moment` is infinite or not a number.
        """
        target = _nanos("reach", moment)
        with self._lock:
            self._forwards(max(0, target - self._time()))

    @contextmanager
    def following(self, leader: Jumping) -> Generator[Self]:
        """Go with another virtual clock for a while, and push it when this one is pushed: with Trio's `MockClock`.

        Args:
            leader: A clock with `current_time()` and `jump(seconds)`, as `trio.testing.MockClock` has them.

        Raises:
            RuntimeError: If this clock follows another one already.

        Example:
            >>> import trio
            >>> from trio.testing import MockClock
            >>> from recoup.testing import VirtualClock
            >>> trio_clock = MockClock(autojump_threshold=0)
            >>> with VirtualClock() as clock, clock.following(trio_clock):
            ...     trio.run(trio.sleep, 60, clock=trio_clock)
            ...     clock.monotonic()
            1060.0
        """
        if self._leader is not None:
            raise RuntimeError("this VirtualClock follows another clock already")
        with self._lock:
            self._leader = leader, self._now - _nanos("current_time", leader.current_time())
        try:
            yield self
        finally:
            with self._lock:
                self._now = self._time()
                self._leader = None

    def __enter__(self) -> Self:
        if self in _active:
            raise RuntimeError("this VirtualClock is active already; make another one for an inner scope")
        self._replaced = [getattr(seam, name) for name in _REPLACED]
        for name, ours in _REPLACED.items():
            setattr(seam, name, getattr(self, ours))
        _active.append(self)
        setattr(seam, _SIGN, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _active.remove(self)
        for name, function in zip(_REPLACED, self._replaced, strict=True):
            setattr(seam, name, function)
        self._replaced = []
        if not _active:
            delattr(seam, _SIGN)

    def _time(self) -> int:
        leading = self._leader  # read once: another thread may stop following in between
        if leading is None:
            return self._now
        leader, ahead = leading
        return _nanos("current_time", leader.current_time()) + ahead

    def _forwards(self, nanos: int) -> None:
        if self._leader is None:
            self._now += nanos
        else:
            self._leader[0].jump(nanos / _NANO)

    def _remember(self, seconds: float) -> None:
        _not_negative("sleep", seconds)
        if seconds > 0:
            with self._lock:
                self._sleeps.append(seconds)

    def _rest(self, waiter: ThreadWaiter, seconds: float) -> bool:  # noqa: ARG002 - time passes before anybody can wake
        self.sleep(seconds)
        return False

    async def _rest_async(self, waiter: TaskWaiter, seconds: float) -> bool:
        if not self._drives_running_loop():
            await self.sleep_async(seconds)
            return False
        self._remember(seconds)
        return await waiter.wait_async(seconds)

    def _drives_running_loop(self) -> bool:
        if seam.in_trio():
            return self._leader is not None
        return getattr(asyncio.get_running_loop(), "clock", None) is self


_REAL_SLEEP_ASYNC = seam.sleep_async


def _not_negative(argument: str, seconds: float) -> int:
    nanos = _nanos(argument, seconds)
    if nanos < 0:
        raise ValueError(f"{argument} must be 0 s or more, not {seconds!r}")
    return nanos
