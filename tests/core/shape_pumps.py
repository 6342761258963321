"""Pumps that `shape.py` can give other parameters, of every colour, and some that it must leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from typing import Any


def again(error: Exception) -> bool:
    """Tell whether to try once more: a global of the pumps, for users' parameters to collide with."""
    return bool(getattr(error, "again", False))


def retrying(fn: Callable[..., Any], told: list[object]) -> Callable[..., Any]:
    """Two calls, a loop, handlers, locals, a cell and a global."""

    def retrying(*args: Any, **kwargs: Any) -> Any:
        """A docstring is a constant of the code."""
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            if not again(error):
                raise
            told.append(error)
        while True:
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                if not again(error):
                    raise
                told.append(error)
            else:
                return result

    return retrying


def retrying_async(fn: Callable[..., Awaitable[Any]], told: list[object]) -> Callable[..., Awaitable[Any]]:
    """The same in the other colour."""

    async def retrying(*args: Any, **kwargs: Any) -> Any:
        """A docstring is a constant of the code."""
        try:
            return await fn(*args, **kwargs)
        except Exception as error:
            if not again(error):
                raise
            told.append(error)
        while True:
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                if not again(error):
                    raise
                told.append(error)
            else:
                return result

    return retrying


def streaming(fn: Callable[..., Iterator[Any]], told: list[object]) -> Callable[..., Iterator[Any]]:
    """A generator."""

    def streaming(*args: Any, **kwargs: Any) -> Iterator[Any]:
        items = fn(*args, **kwargs)
        for item in items:
            told.append((yield item))  # noqa: PERF401 - not what a comprehension may do

    return streaming


def streaming_async(fn: Callable[..., AsyncIterator[Any]], told: list[object]) -> Callable[..., AsyncIterator[Any]]:
    """An asynchronous generator."""

    async def streaming(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        items = fn(*args, **kwargs)
        async for item in items:
            told.append((yield item))  # noqa: PERF401 - as above

    return streaming


def adopting(fn: Callable[..., Any], pick: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
    """The arguments go to what an expression gives; and a comprehension that captures nothing of the pump."""

    def adopting(*args: Any, **kwargs: Any) -> Any:
        picked = [pick(each) for each in (fn, fn)]
        return picked[0](*args, **kwargs), pick(fn)(*args, **kwargs)

    return adopting


# What follows cannot be shaped, each for its own reason; each still works.


def keeping(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def keeping(*args: Any, **kwargs: Any) -> Any:
        kept.append((args, kwargs))
        return fn(*args, **kwargs)

    return keeping


def assigning(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def assigning(*args: Any, **kwargs: Any) -> Any:
        args = tuple(args)
        return fn(*args, **kwargs)

    return assigning


def catching(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def catching(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except ValueError as args:  # noqa: PLR1704 - the point: `args` is not what it was
            return fn(*args, **kwargs)  # type: ignore[misc]  # as above

    return catching


def dropping(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def dropping(*args: Any, **kwargs: Any) -> Any:
        return fn(*args)

    return dropping


def adding(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def adding(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, *kept, **kwargs)

    return adding


def capturing(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def capturing(*args: Any, **kwargs: Any) -> Any:
        return (lambda: fn(*args, **kwargs))()  # noqa: PLC3002 - the smallest nested function

    return capturing


def holding(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def holding(*args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        return (lambda: result)()  # noqa: PLC3002 - as above

    return holding


def extending(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def extending(*args: Any, again: bool = False, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return extending


def renaming(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def renaming(*given: Any, **named: Any) -> Any:
        return fn(*given, **named)

    return renaming


def ignoring(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def ignoring(*args: Any, **kwargs: Any) -> Any:
        return fn(1, 2)

    return ignoring


def marked(pump: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a pump: what the factory returns is not what it defines."""
    return lambda *args, **kwargs: pump(*args, **kwargs)  # noqa: PLW0108 - another function is the point


def decorated(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    @marked
    def decorated(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return decorated


def choosing(fn: Callable[..., Any], kept: list[object] | None) -> Callable[..., Any]:
    def never(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    def choosing(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return never if kept is None else choosing


def leaving(fn: Callable[..., Any], kept: list[object] | None) -> Callable[..., Any]:
    if kept is not None:
        return retrying(fn, kept)

    def leaving(*args: Any, **kwargs: Any) -> Any:
        return kept, fn(*args, **kwargs)

    return leaving


def swapping(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def swapping(*kwargs: Any, **args: Any) -> Any:
        return fn(*args, **kwargs)  # type: ignore[arg-type]  # the point: both mean something else

    return swapping


def taking(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def taking(args: Any, kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return taking


def marking(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
    def marking(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return marked(marking)


def nested() -> Callable[..., Any]:
    """Give a factory that is not at module level."""

    def inside(fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
        def inside(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return inside

    return inside


class Making:
    """A factory that is no function."""

    def __call__(self, fn: Callable[..., Any], kept: list[object]) -> Callable[..., Any]:
        return retrying(fn, kept)


unshapely: list[Callable[..., Any]] = [
    keeping, assigning, catching, dropping, adding, capturing, holding, extending, renaming,
    ignoring, decorated, choosing, leaving, marking, nested(), Making(),
]  # fmt: skip
strange: list[Callable[..., Any]] = [swapping, taking]  # these cannot even be called with the function's arguments
