"""Runs of Trio in virtual time, whoever starts them: a test, pytest-trio, the plugin of anyio.

Trio has a clock for tests of its own, `trio.testing.MockClock`, which jumps when nothing can run. A run that begins
while a `VirtualClock` is active gets one, and the `VirtualClock` follows it. Nothing here imports Trio: what has not
been imported runs nothing.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from recoup.testing.clock import active_clock
from recoup.testing.loop import GRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    from recoup.testing.clock import VirtualClock

__all__ = ["virtual_runs"]


class _Patience:
    """Has the clock wait a little for other threads before it jumps, while there are any (an instrument of Trio's).

    Args:
        clock: Trio's `MockClock`.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def after_task_step(self, _: object) -> None:
        """Look at the threads after each step of a task."""
        grace = GRACE if threading.active_count() > 1 else 0.0
        if self._clock.autojump_threshold != grace and not self._clock.rate:
            self._clock.autojump_threshold = grace


class _Runs:
    """The runs that have begun in one virtual time."""

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._run, self._start = trio.run, trio.lowlevel.start_guest_run
        self._going = ExitStack()

    def __enter__(self) -> None:
        self._trio.run = self._running
        self._trio.lowlevel.start_guest_run = self._starting

    def __exit__(self, *error: object) -> None:
        self._trio.run, self._trio.lowlevel.start_guest_run = self._run, self._start
        self._going.close()  # those that go on, as runners of a wider scope do, do so in real time

    def _running(
        self, main: Callable[..., Any], *args: Any, clock: Any = None, instruments: Sequence[Any] = (), **options: Any
    ) -> Any:
        with ExitStack() as going:
            given = self._virtual(going, clock, instruments)
            return self._run(main, *args, **given, **options)

    def _starting(
        self,
        main: Callable[..., Any],
        *args: Any,
        done_callback: Callable[[Any], object],
        clock: Any = None,
        instruments: Sequence[Any] = (),
        **options: Any,
    ) -> Any:
        going = ExitStack()
        self._going.push(going)

        def done(outcome: Any) -> None:
            going.close()
            done_callback(outcome)

        try:
            given = self._virtual(going, clock, instruments)
            return self._start(main, *args, done_callback=done, **given, **options)
        except BaseException:  # it has not begun, so it will not end
            going.close()
            raise

    def _virtual(self, going: ExitStack, clock: Any, instruments: Sequence[Any]) -> dict[str, Any]:
        """Give a run its clock, unless it brings one, or there is none to follow it."""
        virtual = active_clock()
        if clock is None and virtual is not None and virtual._leader is None:
            clock = going.enter_context(_led(virtual, self._trio.testing.MockClock))
            instruments = (*instruments, _Patience(clock))
        return {"clock": clock, "instruments": instruments}


@contextmanager
def _led(virtual: VirtualClock, make: Callable[..., Any]) -> Generator[Any]:
    """Have a virtual clock follow one of Trio's for a while; afterwards that one goes on in real time."""
    clock = make(autojump_threshold=0)
    try:
        with virtual.following(clock):
            yield clock
    finally:
        clock.rate = 1
        clock.autojump_threshold = float("inf")


@contextmanager
def virtual_runs(*, wanted: bool = False) -> Generator[None]:
    """Have runs of Trio that begin meanwhile follow the active `VirtualClock`.

    Not those that bring a clock of their own, nor one that begins in another thread while one goes on.

    Args:
        wanted: Whether Trio may be used though nobody has imported it yet: by a plugin that does so later.
    """
    if "trio" not in sys.modules and not (wanted and find_spec("trio")):
        yield
        return
    import_module("trio.testing")
    with _Runs(sys.modules["trio"]):
        yield
