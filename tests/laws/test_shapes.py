"""With the user's own parameters and without, every decorator does the same (house.md, "written once", 3)."""

from __future__ import annotations

import inspect
import operator
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from recoup._core import shape
from recoup.testing import VirtualClock, run
from tests.laws.decorated import PRESENT, SEEING_PRESENT, STREAMS_REFUSED, forget, module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

KINDS = [
    *("function", "anything", "surprising", "coroutine", "stream", "async_stream", "caller"),
    *("thing.method", "thing.coroutine", "thing.class_outside", "thing.class_inside"),
    *("thing.static_outside", "thing.static_inside"),
]
CALLS: list[tuple[tuple[object, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 2), {}),
    ((1,), {"c": 3}),
    ((1, 5, 7), {"error": None}),
    ((1, 5), {"c": 7, "again": 0}),
    ((2,), {"again": 2}),
    ((2, 3), {"again": 7}),
    ((3, 4, 5), {"error": ValueError}),
    ((3,), {"c": 4, "error": OSError, "again": 100}),
    ((4,), {"error": TimeoutError}),
    ((5,), {"error": ConnectionError}),
    ((6,), {"error": ConnectionError}),
    ((7,), {}),
    ((8, 9), {"error": KeyboardInterrupt}),
    ((8, 9), {"c": 10}),
]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    forget()


async def collected(stream: AsyncIterator[object]) -> list[object]:
    return [item async for item in stream]


def outcome(function: Callable[..., Any], asynchronous: bool, args: Any, kwargs: Any) -> object:
    """Call a function of any colour; give all that can be seen of how it went."""

    def call() -> object:
        made = function(*args, **kwargs)
        if inspect.isgenerator(made):
            return list(made)
        return collected(made) if inspect.isasyncgen(made) else made

    async def awaited() -> object:
        made = call()
        return await made if inspect.iscoroutine(made) else made

    try:
        return run(awaited()) if asynchronous else call()
    except BaseException as error:  # noqa: BLE001 - all of it is the outcome
        frames = [(frame.filename, frame.lineno, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
        ours = [frame for frame in frames if "/recoup/" in frame[0]]
        return type(error), str(error), getattr(error, "__notes__", []), type(error.__context__), ours


def story(name: str) -> list[str]:
    """Tell all that happens to the things of a module in a row of calls; state that they share included."""
    told: list[str] = []
    with VirtualClock() as clock:
        made = module(name)
        for kind in KINDS:
            if "stream" in kind and name in STREAMS_REFUSED:
                continue
            asynchronous = any(word in kind for word in ("coroutine", "async", "surprising"))
            for args, kwargs in CALLS:
                result = outcome(operator.attrgetter(kind)(made), asynchronous, args, kwargs)
                said = (kind, args, kwargs, result, len(made.calls), made.calls[-1:], made.undone, clock.monotonic())
                told.append(str(said).replace(made.__name__, "module"))
                clock.advance(7)
                made.calls.clear()
                made.undone.clear()
    return told


@pytest.mark.parametrize("name", PRESENT + SEEING_PRESENT)
def test_same(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Results, errors, notes, tracebacks, calls made and time taken are the same."""
    monkeypatch.setenv("RECOUP_SHAPE", "on")
    shaped, first = story(name), module(name).function.__code__.co_varnames[0]
    monkeypatch.setenv("RECOUP_SHAPE", "off")
    assert first == "a"
    assert module(name).function.__code__.co_varnames[0] == "args"
    assert story(name) == shaped
    assert len(set(shaped)) > 10 * len(CALLS)


def test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shaped pump that loses an argument is noticed."""
    right = story("retry")

    def losing(factory: Any, like: object, fn: Any, *cells: object, inside: bool = False) -> Any:
        return factory(lambda *args, **kwargs: fn(args[0], **kwargs), *cells)

    monkeypatch.setattr(shape, "build", losing)
    assert story("retry") != right


@pytest.mark.parametrize("name", PRESENT)
def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Wrong arguments are the usual TypeError at once, and no strategy takes them for a failure."""
    monkeypatch.setenv("RECOUP_SHAPE", "on")
    made = module(name)
    for _ in range(5):
        with pytest.raises(TypeError, match=r"^function\(\) missing 1 required positional argument: 'a'$") as caught:
            made.function()
        assert not hasattr(caught.value, "__notes__")
    assert made.function(1) == (1, 2, 3)
    assert made.undone == []
