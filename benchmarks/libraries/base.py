"""What a library has to offer to be compared.

Each method puts one pattern round a function, as the library's users would write it. `colour` says whether the function
is `async def`. A library leaves out what it does not have; a pattern that it has in one colour only raises `Missing`
for the other. All are called inside a running event loop, because some want one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATTERNS", "Colour", "Function", "Library", "Missing"]

Colour: TypeAlias = Literal["sync", "async"]
Function: TypeAlias = "Callable[..., Any]"

PATTERNS = ("retry", "breaker", "bulkhead", "rate_limit", "fallback", "cache", "deadline", "stack", "stack_deadline")


class Missing(Exception):
    """The library does not have the pattern in this colour."""


class Library:
    """A library, as far as it has the patterns. What it does not override it does not have."""

    name: ClassVar[str]
    package: ClassVar[str | None] = None
    """Name of the distribution, for its version; `None` if it has none."""
    module: ClassVar[str | None] = None
    """What is imported, for the time that this takes; `None` if that is not asked."""

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        """Call up to so many times, without waiting in between; then raise what the function raised."""
        raise Missing

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        """Refuse calls for an hour after so many failures."""
        raise Missing

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        """Let at most so many calls run at once, and refuse others at once if the library can."""
        raise Missing

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        """Let at most so many calls run at once; any number of others wait."""
        raise Missing

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        """Let at most so many calls begin in so many seconds; refuse others at once if the library can."""
        raise Missing

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        """Answer with a value if the function raises."""
        raise Missing

    def cache(self, fn: Function, colour: Colour) -> Function:
        """Keep a thousand results for an hour."""
        raise Missing

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        """Raise a TimeoutError of some kind if the function takes longer."""
        raise Missing

    def stack(self, fn: Function, colour: Colour) -> Function:
        """Put fallback (42), retry (3), breaker (5) and bulkhead (10) round a function, outermost first."""
        raise Missing

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        """Do as `stack`, with a deadline of 30 s for each attempt inside."""
        raise Missing
