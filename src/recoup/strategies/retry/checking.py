"""What is checked of the options that say how long to wait (rule G1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from inspect import isgeneratorfunction, signature

from recoup._core import checks
from recoup.strategies.retry.kinds import OWN_RANGES, BackoffStrategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.strategies.retry.config import RetryConfig

__all__ = ["backoff", "check_delays", "check_spread", "wants_error"]


def check_delays(config: RetryConfig, put: Callable[[object, str, object], None]) -> None:
    """Check both delays against each other; a default yields to the one that was given."""
    initial = checks.duration("initial_delay", config.initial_delay)
    longest = checks.duration("max_delay", config.max_delay)
    if initial > longest:  # what yields stays a default, which yields again when somebody replaces the other
        if isinstance(config.max_delay, checks.DefaultFloat):
            longest = checks.DefaultFloat(initial)
        elif isinstance(config.initial_delay, checks.DefaultFloat):
            initial = checks.DefaultFloat(longest)
        else:
            raise ValueError(f"initial_delay ({initial:g} s) must not be longer than max_delay ({longest:g} s)")
    for argument, given, value in (
        ("initial_delay", config.initial_delay, initial),
        ("max_delay", config.max_delay, longest),
    ):
        if given != value or not isinstance(given, checks.DefaultFloat):
            put(config, argument, value)


def check_spread(config: RetryConfig) -> None:
    """Refuse what would have no effect beside the chosen backoff."""
    own = not isinstance(config.backoff_strategy, BackoffStrategy)
    if own and not isinstance(config.initial_delay, checks.DefaultFloat):
        raise ValueError("initial_delay has no meaning beside delays of your own, which begin with their first")
    if config.jitter_range is None:
        return
    checks.fraction("jitter_range", config.jitter_range)
    if own:
        raise ValueError("jitter_range has no meaning beside delays of your own: put the jitter into them")
    kind: Any = config.backoff_strategy
    if kind in OWN_RANGES:
        raise ValueError(f"jitter_range has no meaning with {kind.name}, which draws from its own range")


def backoff(value: Any) -> Any:
    """Check what says how waits grow."""
    if isinstance(value, (BackoffStrategy, str)):
        return checks.member("backoff_strategy", value, BackoffStrategy)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        delays = tuple(checks.duration("backoff_strategy", each) for each in value)
        if not delays:
            raise ValueError("backoff_strategy must list at least one delay")
        return delays
    if callable(value) and not isinstance(value, type):
        _check_function(value)
        return value
    if isinstance(value, Iterator):
        raise TypeError(
            "backoff_strategy must not be a one-shot iterator, which all calls would use up together: "
            "give a list, a generator function, or a function of the number of the retry"
        )
    if not isinstance(value, Iterable) or isinstance(value, (type, bytes, bytearray, AbstractSet, Mapping)):
        known = ", ".join(repr(each.value) for each in BackoffStrategy)
        raise TypeError(
            f"backoff_strategy must be a BackoffStrategy, one of {known}, a list or another iterable of seconds in "
            f"order, or a function of the number of the retry, not {checks.shown(value)}"
        )
    _check_first(iter(value))
    return value


def _check_function(function: Any) -> None:
    """Check a function of the number of the retry, or of that and the error, or a generator function."""
    if checks.awaitable_callback(function):
        raise TypeError("backoff_strategy must be a plain function of the number of the retry, not an async one")
    takes = _takes(function) if isgeneratorfunction(function) else _takes(function, 1) or wants_error(function)
    if not takes:
        raise TypeError(
            "backoff_strategy must be a function of one argument, the number of the retry (from 1), or of two, that "
            f"and the error, or a generator function without arguments, not {checks.shown(function)}"
        )


def wants_error(delays: Any) -> bool:
    """Tell whether own delays are a function of the number of the retry and the error; not if it can do without."""
    return callable(delays) and not isgeneratorfunction(delays) and not _takes(delays, 1) and _takes(delays, 1, None)


def _takes(function: Any, *given: object) -> bool:
    """Tell whether a function can be called so."""
    with suppress(ValueError):  # some builtins do not tell their parameters
        try:
            signature(function).bind(*given)
        except TypeError:
            return False
    return True


def _check_first(delays: Iterator[Any]) -> None:
    """Check the first delay of an iterable that each call begins anew: it may be endless, or different each time."""
    for given in delays:
        checks.duration("backoff_strategy", given)
        return
    raise ValueError("backoff_strategy must list at least one delay")
