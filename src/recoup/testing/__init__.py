"""Help for the tests of code that uses recoup: virtual time, and a switch that turns recovery off."""

from __future__ import annotations

from recoup.testing.clock import VirtualClock, active_clock
from recoup.testing.loop import VirtualEventLoop, run
from recoup.testing.switch import disabled, enabled, instant

__all__ = ["VirtualClock", "VirtualEventLoop", "active_clock", "disabled", "enabled", "instant", "run"]
