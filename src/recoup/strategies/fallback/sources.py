"""Where an answer can come from when a call has failed.

A source is asked in one of two ways: with the error (`answer`), or with the arguments of the call (`again`). It gives
the answer, or something to await for it. What is the answer already, and must not be awaited any more, comes in an
`Entry`.
"""

from __future__ import annotations

import inspect

from recoup._core import checks
from recoup._core.arguments import Parameters
from recoup._core.store import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from recoup.strategies.fallback.config import FallbackConfig

__all__ = ["Source", "asks", "listed", "sources", "takes_error"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Source:
    """One place to ask.

    Attributes:
        kind: "service", "function" or "value".
        answer: Gets the error; `None` if `again` is to be called.
        again: Gets the arguments of the call; `None` if `answer` is to be called.
        last: Whether nothing comes after it.
    """

    __slots__ = ("again", "answer", "kind", "last")

    def __init__(
        self,
        kind: str,
        *,
        answer: Callable[[Exception], Any] | None = None,
        again: Callable[..., Any] | None = None,
    ) -> None:
        self.kind = kind
        self.answer: Any = answer
        self.again: Any = again
        self.last = False


def sources(config: FallbackConfig, target: Any) -> tuple[Source, ...]:
    """List what can be asked about a function, best answer first."""
    found = []
    for service in listed(config.fallback_service):
        if callable(service):
            found.append(Source("service", again=_Again(target, service)))
        elif config.service_argument is not None:
            found.append(Source("service", again=_Elsewhere(target, config.service_argument, service)))
    functions = listed(config.fallback_function)
    if config.with_arguments:
        found += [Source("function", again=_Again(target, function)) for function in functions]
    else:
        found += [_function(function) for function in functions]
    if config.value_given:
        entry = Entry(config.fallback_value, 0.0)
        found.append(Source("value", answer=lambda _: entry))
    if found:
        found[-1].last = True
    return tuple(found)


def asks(config: FallbackConfig) -> bool:
    """Tell whether there is anybody to ask before the value answers."""
    services = listed(config.fallback_service)
    return bool(config.fallback_function) or any(callable(each) or config.service_argument for each in services)


def listed(given: Any) -> Iterator[Any]:
    """Give each of what may be given alone, as a list, or not at all."""
    if isinstance(given, (list, tuple)):
        yield from given
    elif given is not None:
        yield given


def takes_error(function: Callable[..., object]) -> bool:
    """Tell whether a fallback function is called with the error: it is if it has a required positional parameter.

    A parameter with a default does not ask for the error (`lambda rid=rid: ...` binds a value of its own), nor does
    `*args`. A callable that does not tell its signature (some written in C) is called without.

    Raises:
        TypeError: If it can be called neither way.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    required = [each for each in parameters if each.default is each.empty]
    positional = [each.name for each in required if each.kind in _POSITIONAL]
    keywords = [each.name for each in required if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if len(positional) > 1 or keywords:
        asked = ", ".join(positional + keywords)
        raise TypeError(
            f"fallback_function {checks.shown(function)} asks for {asked}, but gets the error or nothing: "
            "give with_arguments=True for the arguments of the call, or bind the others before"
        )
    return bool(positional)


def _function(function: Callable[..., Any]) -> Source:
    if takes_error(function):
        return Source("function", answer=function)

    def without(error: Exception) -> Any:
        del error  # else a function that raises it again would leave a cycle (G11)
        return function()

    return Source("function", answer=without)


class _Again:
    """Make the same call of another function, written short.

    The pumps may get the defaults of the function filled in, and another function may have other ones, or none.
    """

    def __init__(self, target: Any, function: Callable[..., Any]) -> None:
        self._parameters = Parameters.of(target)
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._parameters is not None:
            args, kwargs = self._parameters.short(args, kwargs)
        return self._function(*args, **kwargs)


class _Elsewhere:
    """Make the same call with one argument replaced, however that was given."""

    def __init__(self, target: Callable[..., Any], name: str, url: str) -> None:
        self._target = target
        self._parameters = Parameters.of(target)
        self._name = name
        self._url = url

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._parameters is None:
            return self._target(*args, **{**kwargs, self._name: self._url})
        args, kwargs = self._parameters.normal(args, kwargs)
        args, kwargs = self._parameters.replaced(args, kwargs, self._name, self._url)
        return self._target(*args, **kwargs)
