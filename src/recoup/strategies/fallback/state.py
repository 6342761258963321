"""Which failures are answered, and what becomes of a source that fails itself.

Rules and plans never change after they are made (but for what rules have found out about a type), so nobody needs a
lock. Other ones take their place when a fallback is reconfigured. They keep no exception (G11).
"""

from __future__ import annotations

from recoup._core import conditions
from recoup._core.notes import note
from recoup._core.store import Entry
from recoup.errors import Refusal
from recoup.strategies.fallback.sources import asks, listed, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.colour import Colour
    from recoup.strategies.fallback.config import FallbackConfig
    from recoup.strategies.fallback.sources import Source

__all__ = ["FallbackPlan", "Rules", "Site", "last_word"]

_MOST_KNOWN = 100  # a bound on memory if somebody makes error types without end


class Rules:
    """Which errors are answered under one config; compiled once.

    A refusal of ours (an open circuit, a full bulkhead) is an error like any other here: it is what a fallback is for.
    It is no timeout, though, not even that of a bulkhead's queue: the function never ran.

    Args:
        config: What is answered, and with what.

    Attributes:
        config: The same.
        at_once: Types of errors that a value answers, with the answer: nobody else has to be asked first. Filled as
            errors come, where nothing but their type decides.
    """

    __slots__ = ("_by_type", "_every", "_known", "_listed", "_skip", "_timeouts", "_value", "at_once", "config")

    def __init__(self, config: FallbackConfig) -> None:
        self.config = config
        self._timeouts = config.fallback_on_timeout
        self._listed = conditions.every("fallback_on_exceptions", config.fallback_on_exceptions, refusals=True)
        self._every = conditions.every("fallback_on_exceptions", self._counts, refusals=True)
        self._skip = conditions.some("skip_on", config.skip_on, refusals=True)
        self._by_type = _mere_types(config.fallback_on_exceptions) and _mere_types(config.skip_on)
        self._known: dict[type, bool] = {}
        self._value = None if asks(config) or not config.value_given else Entry(config.fallback_value, 0.0)
        self.at_once: dict[type, Entry] = {}

    def matches(self, error: BaseException) -> bool:
        """Tell whether an error is answered; of a group, every error in it has to be."""
        kind = type(error)
        known = self._known.get(kind)
        if known is not None:
            return known
        answered = self._every(error) and not self._skip(error)
        if self._by_type and not isinstance(error, BaseExceptionGroup) and len(self._known) < _MOST_KNOWN:
            self._known[kind] = answered
            if answered and self._value is not None:
                self.at_once[kind] = self._value
        return answered

    def _counts(self, error: BaseException) -> bool:
        if isinstance(error, TimeoutError) and not isinstance(error, Refusal):
            return self._timeouts
        return self._listed(error)


def _mere_types(spec: Any) -> bool:
    """Tell whether a condition is made of ordinary types alone: they never tell two errors of one type apart."""
    listed = spec if isinstance(spec, (list, tuple, set, frozenset)) else () if spec is None else (spec,)
    return all(type(each) is type for each in listed)


class FallbackPlan:
    """What answers the failures of one function under one config."""

    __slots__ = ("_hint", "_sources", "rules")

    def __init__(self, rules: Rules, target: Any) -> None:
        self.rules = rules
        self._sources = sources(rules.config, target)
        unused = [each for each in listed(rules.config.fallback_service) if isinstance(each, str)]
        self._hint = ""
        if unused and not self._sources:
            self._hint = (
                f"fallback_service {unused[0]!r} was not asked: name the parameter of the function that takes the URL "
                "with service_argument=..., or give a callable"
            )

    def begin(self, error: Exception) -> tuple[Source, ...]:
        """List what is to be asked about an error that is one to answer."""
        if self._hint:
            note(error, self._hint)
        return self._sources


class Site:
    """One function that a fallback is round.

    Attributes:
        target: The function.
        colour: How it gives its answer.
    """

    __slots__ = ("__weakref__", "_plan", "colour", "target")

    def __init__(self, target: Any, colour: Colour, rules: Rules) -> None:
        self.target = target
        self.colour = colour
        self._plan = FallbackPlan(rules, target)

    def plan(self, rules: Rules) -> FallbackPlan:
        """Give the plan for the rules that hold now."""
        plan = self._plan
        if plan.rules is not rules:  # they have been changed
            self._plan = plan = FallbackPlan(rules, self.target)
        return plan


def last_word(failure: BaseException, error: Exception) -> None:
    """Make the error of the call the cause of the error of its last fallback (F1)."""
    if failure is not error and failure.__cause__ is None:
        failure.__cause__ = error
