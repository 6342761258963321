"""Which failures are answered, and what becomes of a source that fails itself.

A `FallbackPlan` never changes after it is made, so it needs no lock. It keeps no exception (G11).
"""

from __future__ import annotations

from recoup._core import conditions
from recoup._core.notes import note
from recoup.errors import Refusal
from recoup.strategies.fallback.sources import listed, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.fallback.config import FallbackConfig
    from recoup.strategies.fallback.sources import Source

__all__ = ["FallbackPlan", "Matcher", "last_word"]


class Matcher:
    """Decides which errors are answered; compiled once.

    A refusal of ours (an open circuit, a full bulkhead) is an error like any other here: it is what a fallback is for.
    It is no timeout, though, not even that of a bulkhead's queue: the function never ran.
    """

    __slots__ = ("_every", "_listed", "_skip", "_timeouts")

    def __init__(self, config: FallbackConfig) -> None:
        self._timeouts = config.fallback_on_timeout
        self._listed = conditions.every("fallback_on_exceptions", config.fallback_on_exceptions, refusals=True)
        self._every = conditions.every("fallback_on_exceptions", self._counts, refusals=True)
        self._skip = conditions.some("skip_on", config.skip_on, refusals=True)

    def __call__(self, error: BaseException) -> bool:
        """Tell whether an error is answered; of a group, every error in it has to be."""
        return self._every(error) and not self._skip(error)

    def _counts(self, error: BaseException) -> bool:
        if isinstance(error, TimeoutError) and not isinstance(error, Refusal):
            return self._timeouts
        return self._listed(error)


class FallbackPlan:
    """What answers the failures of one function."""

    __slots__ = ("_hint", "_matches", "_sources")

    def __init__(self, config: FallbackConfig, matches: Matcher, target: Any) -> None:
        self._matches = matches
        self._sources = sources(config, target)
        unused = [each for each in listed(config.fallback_service) if isinstance(each, str)]
        self._hint = ""
        if unused and not self._sources:
            self._hint = (
                f"fallback_service {unused[0]!r} was not asked: name the parameter of the function that takes the URL "
                "with service_argument=..., or give a callable"
            )

    def begin(self, error: Exception) -> tuple[Source, ...]:
        """List what is to be asked about an error; nothing if it is not one to answer."""
        if not self._matches(error):
            return ()
        if self._hint:
            note(error, self._hint)
        return self._sources


def last_word(failure: BaseException, error: Exception) -> None:
    """Make the error of the call the cause of the error of its last fallback (F1)."""
    if failure is not error and failure.__cause__ is None:
        failure.__cause__ = error
