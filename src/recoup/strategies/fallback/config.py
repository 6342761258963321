"""What a fallback can be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from recoup._core import checks, conditions
from recoup.strategies.fallback.sources import takes_error
from recoup.typing import ConditionSpec, Predicate, Seconds  # noqa: TC001 - typing.get_type_hints looks for them here

__all__ = ["FallbackConfig"]

Function = Callable[..., object]
Service = str | Callable[..., object]


class _Unset:
    """The default of a value that may be anything, None included."""

    def __repr__(self) -> str:
        return "<not given>"


_UNSET: Any = _Unset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """Say what answers when a call fails, and which failures are answered.

    The best answer comes first: a cached success, then the service, the function, the value. What is not given, does
    not apply (an empty cache, a URL without `service_argument`) or fails itself is passed over. If the last one fails,
    its error is raised, with the error of the call as its cause.

    Args:
        fallback_value: The answer itself; anything, also None. A callable is an answer and is not called. Default: no
            value (reads as None).
        fallback_function: Called for the answer: with the error if it has a required positional parameter, without
            arguments if it has none. A list of functions is tried in order. May be async round async functions.
        fallback_service: Another place to ask. A callable is called with the arguments of the call (may be async round
            async functions). A URL is handed to the function itself, which is called once more, with the URL as its
            argument `service_argument`. A list is tried in order.
        service_argument: Which parameter of the function gets the URL of `fallback_service`.
        with_arguments: Call `fallback_function` with the arguments of the call instead. Default False.
        use_cache: Remember successes, and answer failures of the same call with them. A call is never answered from
            this cache instead of being made; for that there is `@cached`. Default False.
        cache_ttl: Seconds (or a timedelta) for which a success may be used; more than 0. Default 300.0.
        cache_size: How many successes are remembered; at least 1. Default 1024.
        fallback_on_exceptions: Which errors are answered: a type, a list of types, a predicate or a condition (`when`).
            Short name in decorators: `on`. Default `None`: every `Exception`, an open circuit included.
        skip_on: Errors that are never answered, whatever the other fields say. Default `None`: none.
        fallback_on_result: Predicate of the result; true means that the result will not do and is answered like a
            failure, with an `UnacceptableResult` as the error, whatever the other fields say. If nothing else has an
            answer, the result is given all the same. An error in the predicate propagates. Not for generators. Default
            `None`: every result will do.
        fallback_on_timeout: Whether timeouts (`TimeoutError`, `DeadlineExceeded`) are answered; it decides whatever
            `fallback_on_exceptions` says. Default True.
        value_given: Whether `fallback_value` counts. Default `None`: it does if it is given.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or values contradict each other.

    Configs are immutable and may be shared between threads and event loops.

    >>> FallbackConfig(fallback_value="busy", fallback_on_timeout=False).fallback_value
    'busy'
    """

    ON: ClassVar[str] = "fallback_on_exceptions"

    fallback_value: Any = _UNSET
    fallback_function: Function | Sequence[Function] | None = None
    fallback_service: Service | Sequence[Service] | None = None
    service_argument: str | None = None
    with_arguments: bool = False
    use_cache: bool = False
    cache_ttl: Seconds = 300.0
    cache_size: int = 1024
    fallback_on_exceptions: ConditionSpec | None = None
    skip_on: ConditionSpec | None = None
    fallback_on_timeout: bool = True
    fallback_on_result: Predicate | None = None
    value_given: bool | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        _settle_value(self, put)
        for argument in ("with_arguments", "use_cache", "fallback_on_timeout"):
            checks.boolean(argument, getattr(self, argument))
        for function in _listed("fallback_function", self.fallback_function, "callables"):
            if not callable(function):
                raise TypeError(f"fallback_function must be callable, not {checks.shown(function)}; {_A_VALUE}")
            if not self.with_arguments:
                takes_error(function)
        if self.with_arguments and self.fallback_function is None:
            raise ValueError("with_arguments=True has no meaning without fallback_function")
        _check_service(self)
        put(self, "cache_ttl", checks.duration("cache_ttl", self.cache_ttl, zero=False))
        checks.count("cache_size", self.cache_size)
        checks.plain_callback("fallback_on_result", self.fallback_on_result)
        for argument in ("fallback_on_exceptions", "skip_on"):
            if getattr(self, argument) is not None:
                conditions.compiled(argument, getattr(self, argument))


_A_VALUE = "an answer that is no function goes into fallback_value"


def _settle_value(config: FallbackConfig, put: Callable[[object, str, object], None]) -> None:
    """Tell a value that was given from none; None may be one."""
    given = config.value_given
    if given is not None:
        checks.boolean("value_given", given)
    value = config.fallback_value
    if value is _UNSET:
        if given:
            raise ValueError("value_given=True needs fallback_value")
        put(config, "fallback_value", None)
    elif iscoroutine(value):
        raise TypeError(
            "fallback_value must not be a coroutine, which answers only once: give the async function as "
            "fallback_function"
        )
    # A copy made by dataclasses.replace() hands over what it read: None, and that it was not given.
    put(config, "value_given", value is not _UNSET and (given is not False or value is not None))


def _listed(argument: str, given: object, what: str) -> tuple[Any, ...]:
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        return (given,)
    if not given:
        raise ValueError(f"{argument} must list at least one of its {what}; leave it out for none")
    return tuple(given)


def _check_service(config: FallbackConfig) -> None:
    services = _listed("fallback_service", config.fallback_service, "URLs or callables")
    for service in services:
        if not callable(service) and (not isinstance(service, str) or not service):
            raise TypeError(f"fallback_service must be a URL or a callable, not {checks.shown(service)}")
    name = config.service_argument
    if name is None:
        return
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"service_argument must be the name of a parameter, not {checks.shown(name)}")
    if not any(isinstance(service, str) for service in services):
        raise ValueError("service_argument has no meaning without a URL as fallback_service")


if TYPE_CHECKING:

    class FallbackOptions(TypedDict, total=False):
        """Keywords of `@fallback`: fields of `FallbackConfig`, `on`, `name`; its overloads add those that answer."""

        name: str | None
        on: ConditionSpec | None
        service_argument: str | None
        with_arguments: bool
        use_cache: bool
        cache_ttl: Seconds
        cache_size: int
        fallback_on_exceptions: ConditionSpec | None
        skip_on: ConditionSpec | None
        fallback_on_timeout: bool
        fallback_on_result: Predicate | None
