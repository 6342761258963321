"""Help for the tests of code that uses recoup: virtual time."""

from __future__ import annotations

from recoup.testing.clock import VirtualClock, active_clock
from recoup.testing.loop import VirtualEventLoop, run

__all__ = ["VirtualClock", "VirtualEventLoop", "active_clock", "run"]
