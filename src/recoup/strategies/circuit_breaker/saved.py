"""Circuits as plain data that JSON can hold, and back again.

What is written is relative: seconds ago, calls ago. One stamp of the wall clock says when that was. The monotonic clock
begins anew with the machine, so between two processes the wall clock is right (as for `Retry-After`); where it was set
back meanwhile, no time has passed.

Reading trusts nothing: all is checked before anything is changed, and whatever is wrong is a ValueError.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from recoup._core import checks, clock
from recoup.strategies.circuit_breaker.closed import Recent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeVar

    T = TypeVar("T")

__all__ = ["Saved", "entries", "envelope", "member", "opened", "read", "written"]

VERSION: Final = 1
_MOST_CALLS: Final = 2**53  # numbers of calls are kept as floats


class Saved(NamedTuple):
    """One circuit, apart from clocks and configurations; a half-open one is open, and its time is over.

    Attributes:
        recent: Its windows if it is closed; None if it is open.
        ramp: How many seconds ago it closed, if calls are still coming back; None otherwise.
        wait: Seconds until a probe may run, 0 if it is closed.
        open_time: Seconds for which it is open altogether, 0 if it is closed.
        openings: How many times it opened since it was closed.
        cause: What opened it: type of the error, its text, its age in seconds; None if nothing did.
    """

    recent: Recent | None
    ramp: float | None = None
    wait: float = 0.0
    open_time: float = 0.0
    openings: int = 0
    cause: tuple[str, str, float] | None = None

    @property
    def says_something(self) -> bool:
        """Tell whether it differs from a new circuit."""
        recent = self.recent
        return recent is None or self.ramp is not None or bool(recent.slices) or any(recent.failures.values())

    def later(self, seconds: float) -> Saved:
        """Give the same when so many seconds have passed."""
        cause = self.cause
        if cause is not None:
            cause = cause[0], cause[1], cause[2] + seconds
        recent, ramp = self.recent, None if self.ramp is None else self.ramp + seconds
        if recent is not None:
            failures = {name: [(at, age + seconds) for at, age in each] for name, each in recent.failures.items()}
            slices = [(age + seconds, calls, failed, slow) for age, calls, failed, slow in recent.slices]
            recent = recent._replace(failures=failures, slices=slices)
        return self._replace(recent=recent, ramp=ramp, wait=max(0.0, self.wait - seconds), cause=cause)


def envelope(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Put what was written into what `opened` opens."""
    return {"recoup": kind, "version": VERSION, "saved_at": clock.wall(), **content}


def opened(kind: str, snapshot: object, reading: Callable[[dict[str, Any], float], T]) -> T:
    """Check what somebody says is a snapshot, and read it.

    Args:
        kind: Of the strategy that asks.
        snapshot: Anything.
        reading: Reads it, given the seconds that have passed since.

    Raises:
        ValueError: For anything but a snapshot of this kind and version.
    """
    try:
        given = _mapping("it", snapshot)
        if member(given, "recoup") != kind:
            raise ValueError(f"it is of {checks.shown(given['recoup'])}, not of {kind!r}")  # noqa: TRY301 - reworded below
        version = member(given, "version")
        if type(version) is not int or version != VERSION:
            raise ValueError(f"its version is {checks.shown(version)}, and this recoup knows only {VERSION}")  # noqa: TRY301
        passed = clock.wall() - checks.number("saved_at", member(given, "saved_at"), low=0)
        return reading(given, max(0.0, passed))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this snapshot cannot be restored: {error}") from None


def written(saved: Saved) -> dict[str, Any]:
    """Write one circuit."""
    recent = saved.recent
    if recent is None:
        cause = None if saved.cause is None else dict(zip(("error_type", "text", "age"), saved.cause, strict=True))
        return {
            "state": "open",
            "wait": saved.wait,
            "open_time": saved.open_time,
            "openings": saved.openings,
            "cause": cause,
        }
    return {
        "state": "closed",
        "failures": {name: [list(each) for each in failures] for name, failures in recent.failures.items()},
        "outcomes": None if recent.flags is None else "".join(map(str, recent.flags)),
        "slices": [list(each) for each in recent.slices],
        "ramp": saved.ramp,
    }


def read(value: object) -> Saved:
    """Read one circuit; raises TypeError or ValueError for anything else."""
    given = _mapping("a circuit", value)
    state = member(given, "state")
    if state == "open":
        return _open(given)
    if state != "closed":
        raise ValueError(f"state must be 'open' or 'closed', not {checks.shown(state)}")
    ramp = checks.optional_duration("ramp", member(given, "ramp"))
    failures = _mapping("failures", member(given, "failures"))
    counted = {
        _text("a rule", name): [_failure(each) for each in entries("failures", listed)]
        for name, listed in failures.items()
    }
    for each in counted.values():
        _falling("failures", [age for _, age in each])
        _falling("failures", [calls for calls, _ in each if calls is not None])
    slices = [_slice(each) for each in entries("slices", member(given, "slices"))]
    _falling("slices", [age for age, *_ in slices])
    return Saved(Recent(0, counted, _flags(member(given, "outcomes"), slices), slices), ramp)


def _open(given: dict[str, Any]) -> Saved:
    open_time = checks.duration("open_time", member(given, "open_time"), zero=False)
    wait = checks.number("wait", member(given, "wait"), low=0, high=open_time)
    openings = checks.count("openings", member(given, "openings"), low=1)
    cause = member(given, "cause")
    if cause is not None:
        told = _mapping("cause", cause)
        error_type, text = (_text(name, member(told, name)) for name in ("error_type", "text"))
        cause = error_type, text, checks.duration("age", member(told, "age"))
    return Saved(None, None, wait, open_time, openings, cause)


def _failure(value: object) -> tuple[int | None, float]:
    calls, age = entries("a failure", value, 2)
    if calls is not None:
        checks.count("calls since a failure", calls, low=0)
        checks.number("calls since a failure", calls, low=0, high=_MOST_CALLS)
    return calls, checks.duration("age", age)


def _slice(value: object) -> tuple[float, int, int, int]:
    age, *counts = entries("a slice", value, 4)
    calls, failed, slow = (checks.count("a count in a slice", each, low=0) for each in counts)
    checks.number("calls in a slice", calls, low=1, high=_MOST_CALLS)
    for some in (failed, slow):
        checks.number("a part of the calls in a slice", some, low=0, high=calls)
    return checks.duration("age", age), calls, failed, slow


def _flags(outcomes: object, slices: list[tuple[float, int, int, int]]) -> bytes | None:
    """Read single outcomes, which must be those of the slices."""
    if outcomes is None:
        return None
    told = _text("outcomes", outcomes)
    if set(told) - set("0123"):
        raise ValueError("outcomes must consist of the digits 0 to 3")
    flags = bytes(map(int, told))
    start = 0
    for _, calls, failed, slow in slices:
        part = flags[start : start + calls]
        start += calls
        if (sum(each & 1 for each in part), sum(each >> 1 for each in part)) != (failed, slow):
            raise ValueError("outcomes and slices do not agree")
    if start != len(flags):
        raise ValueError("outcomes and slices do not agree")
    return flags


def _falling(argument: str, values: list[float] | list[int]) -> None:
    if any(one < other for one, other in pairwise(values)):
        raise ValueError(f"{argument} must be in order, the oldest first")


def member(given: dict[str, Any], name: str) -> Any:
    """Look a name up; raises ValueError if it is not there."""
    if name not in given:
        raise ValueError(f"{name!r} is missing")
    return given[name]


def _text(argument: str, value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"{argument} must be a str, not {checks.shown(value)}")
    return value


def _mapping(argument: str, value: object) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError(f"{argument} must be a dict, not {checks.shown(value)}")
    return value


def entries(argument: str, value: Any, length: int | None = None) -> list[Any]:
    """Take a list, of so many entries; raises TypeError for anything else."""
    if type(value) not in (list, tuple) or length not in (None, len(value)):
        wanted = "a list" if length is None else f"a list of {length}"
        raise TypeError(f"{argument} must be {wanted}, not {checks.shown(value)}")
    return list(value)
