"""Fallback as a decorator, typed honestly (F3): the type of what may answer joins the type of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from recoup._core.colour import described
from recoup._core.options import decorating
from recoup.strategies.fallback.config import FallbackConfig
from recoup.strategies.fallback.strategy import Fallback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from typing import Generic, Never, ParamSpec, TypeVar, Unpack

    from recoup.strategies.fallback.config import FallbackOptions

    P = ParamSpec("P")
    T = TypeVar("T")
    Y = TypeVar("Y")
    S = TypeVar("S")
    V = TypeVar("V")
    F = TypeVar("F")
    Answer = TypeVar("Answer")

    class Falling(Fallback, Generic[Answer]):
        """A `Fallback` whose answers are known to the type checker. It exists only for that: at run time it is one."""

        @overload  # type: ignore[override]  # what comes out is wider than what goes in
        def __call__(self, target: Callable[P, Never], /) -> Callable[P, Any]: ...  # that is, Any
        @overload
        def __call__(self, target: Callable[P, Generator[Y, S, T]], /) -> Callable[P, Generator[Y, S, T]]: ...
        @overload
        def __call__(self, target: Callable[P, AsyncGenerator[Y, S]], /) -> Callable[P, AsyncGenerator[Y, S]]: ...
        @overload
        def __call__(
            self, target: Callable[P, Coroutine[Any, Any, T]], /
        ) -> Callable[P, Coroutine[Any, Any, T | Answer]]: ...
        @overload
        def __call__(self, target: Callable[P, T], /) -> Callable[P, T | Answer]: ...
        def __call__(self, target: Any, /) -> Any: ...

        @overload  # type: ignore[override]  # wider, as above
        async def execute(self, func: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T | Answer: ...
        @overload
        async def execute(self, func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T | Answer: ...
        async def execute(self, func: Any, /, *args: Any, **kwargs: Any) -> Any: ...

        def execute_sync(  # type: ignore[override]  # wider, as above
            self, func: Callable[..., T], /, *args: Any, **kwargs: Any
        ) -> T | Answer: ...


__all__ = ["fallback"]


@overload
def fallback(target: FallbackConfig | Fallback, /, *, name: str | None = None) -> Fallback: ...
@overload
def fallback(
    *, fallback_value: V, fallback_service: str | None = None, **options: Unpack[FallbackOptions]
) -> Falling[V]: ...
@overload
def fallback(
    *,
    fallback_function: Callable[..., Awaitable[F]],
    fallback_service: str | None = None,
    **options: Unpack[FallbackOptions],
) -> Falling[F]: ...
@overload
def fallback(
    *, fallback_function: Callable[..., F], fallback_service: str | None = None, **options: Unpack[FallbackOptions]
) -> Falling[F]: ...
@overload
def fallback(
    *,
    fallback_value: V,
    fallback_function: Callable[..., Awaitable[F]],
    fallback_service: str | None = None,
    **options: Unpack[FallbackOptions],
) -> Falling[V | F]: ...
@overload
def fallback(
    *,
    fallback_value: V,
    fallback_function: Callable[..., F],
    fallback_service: str | None = None,
    **options: Unpack[FallbackOptions],
) -> Falling[V | F]: ...
@overload
def fallback(*, fallback_service: str, **options: Unpack[FallbackOptions]) -> Falling[Never]: ...
@overload
def fallback(*, fallback_service: Callable[..., Awaitable[F]], **options: Unpack[FallbackOptions]) -> Falling[F]: ...
@overload
def fallback(*, fallback_service: Callable[..., F], **options: Unpack[FallbackOptions]) -> Falling[F]: ...
@overload
def fallback(**options: Unpack[FallbackOptions]) -> Falling[Never]: ...
@overload
def fallback(
    *,
    fallback_value: Any = ...,
    fallback_function: Any = ...,
    fallback_service: Any = ...,
    **options: Unpack[FallbackOptions],
) -> Falling[Any]: ...
def fallback(target: Any = None, /, **options: Any) -> Any:
    """Answer failures with the best that is left: an earlier success, another service, a function, a value.

    Write `@fallback(fallback_value=0)`, `@fallback(fallback_function=ask_the_archive, on=ConnectionError)`,
    `@fallback(config)` or `@fallback(fallback_object)`. There is no bare `@fallback`: it would have no answer.

    The function is always called first. If it fails, the sources that are given are asked in this order: the cache of
    successes (`use_cache=True`), `fallback_service`, `fallback_function`, `fallback_value`. One that has no answer or
    fails itself is passed over; if the last one fails, its error is raised, caused by that of the call.

    For generators, a fallback answers a failure before the first item, with an iterable whose items take the place of
    the generator's; later errors are the consumer's.

    Args:
        target: A `FallbackConfig`, or a `Fallback` to share.
        options: The fields of `FallbackConfig`; `on` is short for `fallback_on_exceptions`; `name` is what events
            call it.

    Returns:
        A `Fallback` that decorates. To a type checker the decorated function returns what it returned or what the
        fallback answers: with `fallback_value=0`, `-> str` becomes `-> str | int`.

    Raises:
        TypeError: For a bare `@fallback`, an unknown keyword, or a function that cannot be protected.
        ValueError: If no source of answers is given, or a value is out of range.

    >>> @fallback(fallback_value="unknown", on=LookupError)
    ... def capital(country: str) -> str:
    ...     return {"France": "Paris"}[country]
    >>> capital("France"), capital("Atlantis")
    ('Paris', 'unknown')
    """
    if not isinstance(target, (FallbackConfig, Fallback)) and (callable(target) or hasattr(type(target), "__func__")):
        raise TypeError(
            f"@fallback round {described(target)} does not say what to answer: write @fallback(fallback_value=...), "
            "@fallback(fallback_function=...), @fallback(fallback_service=...) or @fallback(use_cache=True)"
        )
    return decorating(Fallback, FallbackConfig, target, options, bare=False)
