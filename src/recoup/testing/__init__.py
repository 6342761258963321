"""Help for the tests of code that uses recoup: virtual time, faults, events, and a switch that turns recovery off.

Names are loaded when they are first used: the pytest plugin lives here too, and must not slow down who does not use it.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.testing.calls import Call as Call
    from recoup.testing.calls import Calls as Calls
    from recoup.testing.clock import VirtualClock as VirtualClock
    from recoup.testing.clock import active_clock as active_clock
    from recoup.testing.faults import Fault as Fault
    from recoup.testing.faults import answer as answer
    from recoup.testing.faults import fail as fail
    from recoup.testing.faults import hang as hang
    from recoup.testing.faults import instead as instead
    from recoup.testing.faults import slow as slow
    from recoup.testing.injecting import Faults as Faults
    from recoup.testing.injecting import faulty as faulty
    from recoup.testing.injecting import inject as inject
    from recoup.testing.loop import VirtualEventLoop as VirtualEventLoop
    from recoup.testing.loop import run as run
    from recoup.testing.recording import Events as Events
    from recoup.testing.recording import record as record
    from recoup.testing.switch import Switch as Switch
    from recoup.testing.switch import disabled as disabled
    from recoup.testing.switch import enabled as enabled
    from recoup.testing.switch import instant as instant
else:  # for type checkers it would make a name of ours of any mistake

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'recoup.testing' has no attribute {name!r}")
        value = getattr(import_module(f"recoup.testing.{home}"), name)
        globals()[name] = value
        return value


_HOMES = {
    "calls": ("Call", "Calls"),
    "clock": ("VirtualClock", "active_clock"),
    "faults": ("Fault", "answer", "fail", "hang", "instead", "slow"),
    "injecting": ("Faults", "faulty", "inject"),
    "loop": ("VirtualEventLoop", "run"),
    "recording": ("Events", "record"),
    "switch": ("Switch", "disabled", "enabled", "instant"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Call",
    "Calls",
    "Events",
    "Fault",
    "Faults",
    "Switch",
    "VirtualClock",
    "VirtualEventLoop",
    "active_clock",
    "answer",
    "disabled",
    "enabled",
    "fail",
    "faulty",
    "hang",
    "inject",
    "instant",
    "instead",
    "record",
    "run",
    "slow",
]


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
