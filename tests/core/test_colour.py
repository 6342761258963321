"""What telling callables apart promises (G5)."""

from __future__ import annotations

import functools
import types
from typing import Any

import pytest

from recoup._core.colour import Colour, colour_of


def plain(*_: Any) -> None: ...


async def coroutine() -> None: ...


def stream() -> Any:
    yield


async def async_stream() -> Any:
    yield


class Methods:
    def plain(self) -> None: ...

    async def coroutine(self) -> None: ...

    def stream(self) -> Any:
        yield

    async def async_stream(self) -> Any:
        yield

    @classmethod
    async def of_class(cls) -> None: ...

    partial = functools.partialmethod(coroutine)

    @functools.singledispatchmethod
    def dispatched(self, arg: Any) -> None: ...


class Callable_:  # noqa: N801 - `Callable` means something else here
    def __call__(self) -> None: ...


class AsyncCallable:
    async def __call__(self) -> None: ...


KINDS = {Colour.SYNC: plain, Colour.ASYNC: coroutine, Colour.STREAM: stream, Colour.ASYNC_STREAM: async_stream}


@pytest.mark.parametrize("colour", Colour)
def test_functions_and_what_is_made_of_them(colour: Colour) -> None:
    """A function, its partials, its descriptors and its bound forms have one colour."""
    function: Any = KINDS[colour]
    method = getattr(Methods(), function.__name__)
    unbound = getattr(Methods, function.__name__)
    partial = functools.partial(function)
    target: Any
    for target in (function, partial, functools.partial(partial), classmethod(function), staticmethod(function)):
        assert colour_of(target) is colour
    for target in (method, unbound, functools.partial(method), functools.partialmethod(unbound)):
        assert colour_of(target) is colour
    assert colour.is_async == (colour in (Colour.ASYNC, Colour.ASYNC_STREAM))
    assert colour.is_stream == (colour in (Colour.STREAM, Colour.ASYNC_STREAM))


def test_callable_objects_have_the_colour_of_their_call() -> None:
    """Also behind a partial."""
    assert colour_of(Callable_()) is Colour.SYNC
    assert colour_of(AsyncCallable()) is Colour.ASYNC
    assert colour_of(functools.partial(AsyncCallable())) is Colour.ASYNC


@pytest.mark.parametrize("builtin", [len, [].append, functools.lru_cache(plain), "".join])
def test_builtins_are_synchronous(builtin: Any) -> None:
    """Functions written in C answer at once."""
    assert colour_of(builtin) is Colour.SYNC


def test_a_generator_based_coroutine_is_asynchronous() -> None:
    """@types.coroutine makes an awaitable, not a stream."""
    assert colour_of(types.coroutine(stream)) is Colour.ASYNC


def test_descriptors_of_the_standard_library_are_seen_through() -> None:
    """partialmethod and singledispatchmethod can be decorated."""
    assert colour_of(Methods.__dict__["partial"]) is Colour.ASYNC
    assert colour_of(Methods.__dict__["dispatched"]) is Colour.SYNC
    assert colour_of(Methods.__dict__["of_class"]) is Colour.ASYNC


REFUSED: list[tuple[Any, str]] = [
    (property(plain), "a property cannot be decorated: put the recoup decorator below @property"),
    (functools.cached_property(plain), "a cached_property cannot be decorated"),
    (Methods, "class 'Methods' cannot be decorated"),
    (int, "class 'int' cannot be decorated"),
    (stream(), "'generator' is a call already made"),
    (async_stream(), "'async_generator' is a call already made"),
    (5, "'int' is not callable"),
    (None, "'NoneType' is not callable"),
    ("name", "'str' is not callable"),
]


@pytest.mark.parametrize(("target", "message"), REFUSED)
def test_what_cannot_be_protected_is_refused(target: Any, message: str) -> None:
    """The message says what to do instead (G5)."""
    with pytest.raises(TypeError, match=message):
        colour_of(target)


def test_a_coroutine_that_was_already_made_is_refused() -> None:
    """`retry(f())` cannot call f again."""
    made = coroutine()
    with pytest.raises(TypeError, match="is a call already made and cannot be made again: give the function"):
        colour_of(made)
    made.close()
