"""What a deadline can be told."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from recoup._core import checks
from recoup.typing import Seconds  # noqa: TC001 - typing.get_type_hints looks for it here

__all__ = ["DeadlineConfig"]

_MODES = ("cooperative", "thread")


@dataclass(frozen=True, slots=True)
class DeadlineConfig:
    """Say how long a call may take, and what that means for a function that nobody can interrupt.

    Args:
        seconds: How long a call may take, in seconds (or a timedelta); more than 0. A generator's time counts from its
            first item asked for to its end. An outer deadline that strikes earlier counts instead.
        mode: For plain functions and generators, which have to say one; async functions need none, they are cancelled.
            "cooperative": the call stays in its thread and nobody stops it; the time is checked before it starts, by
            every strategy inside it before it waits, and by `current_deadline().check()`; a late result is returned
            all the same. "thread": the call runs in a thread of the limiter's own, and its caller gets control back
            on time; the work goes on by itself until it really ends. Default `None`: async functions only.
        reserve: How much of an outer deadline's time to leave to those outside, in seconds (or a timedelta): inside a
            request that has 3 s left, a call with a reserve of 0.5 gets 2.5 s, and a fallback round it the rest.
            Default 0.
        thread_workers: With "thread": how many calls may run at once, those that were given up included; at least 1.
            One more is refused at once. Default 10.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Configs are immutable and may be shared between threads and event loops.

    >>> DeadlineConfig(2).seconds
    2.0
    """

    seconds: Seconds
    _: KW_ONLY
    mode: Literal["cooperative", "thread"] | None = None
    thread_workers: int = 10
    reserve: Seconds = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", checks.duration("seconds", self.seconds, zero=False))
        if self.mode is not None and self.mode not in _MODES:
            known = " or ".join(f'"{mode}"' for mode in _MODES)
            kind = ValueError if isinstance(self.mode, str) else TypeError
            raise kind(f"mode must be {known} or None, not {checks.shown(self.mode)}")
        object.__setattr__(self, "reserve", checks.duration("reserve", self.reserve))
        checks.count("thread_workers", self.thread_workers)


if TYPE_CHECKING:

    class DeadlineOptions(TypedDict, total=False):
        """Keywords of `@deadline(seconds)`: the other fields of `DeadlineConfig`, and `name`."""

        name: str | None
        mode: Literal["cooperative", "thread"] | None
        thread_workers: int
        reserve: Seconds
