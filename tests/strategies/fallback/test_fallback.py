"""Which failures are answered, by what, and what comes out when the answer fails as well (F1, F2, F4, G2-G4, G13)."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

import recoup
from recoup import (
    BulkheadFullError,
    CircuitBreakerError,
    DeadlineExceeded,
    Fallback,
    FallbackConfig,
    events,
    subscribe,
    when,
)
from recoup.testing import disabled
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import Callable


fallback: Any = recoup.fallback  # called in every way, wrong ones included


class Down(Exception):
    pass


def failing(both: Both, error: BaseException, **options: Any) -> Callable[..., Any]:
    """Make a function that raises an error, behind a fallback."""

    def call(*args: object, **kwargs: object) -> Any:
        raise error

    return fallback(**options)(both.wrap(call))  # type: ignore[no-any-return]  # a function again


def test_a_success_comes_out_as_it_is(both: Both) -> None:
    """A fallback does nothing to a call that succeeds (F1)."""
    asked: list[object] = []

    @fallback(fallback_function=asked.append, fallback_value=1)
    @both.wrap
    def call(x: object) -> object:
        return x

    marker = object()
    assert both.call(call, marker) is marker
    assert both.call(call, None) is None
    assert asked == []


@pytest.mark.parametrize("value", [0, None, "x", [], ValueError("an answer"), len, lambda: 1])
def test_a_value_answers(both: Both, value: object) -> None:
    """The very object is the answer; a callable is a value and is not called (F2; peers: callable value called)."""
    assert both.call(failing(both, Down(), fallback_value=value)) is value


def test_a_function_gets_the_error_if_it_asks_for_it(both: Both) -> None:
    """A required positional parameter gets the error; a default or `*args` does not ask for it (F2)."""
    error = Down("x")

    class Method:
        def answer(self, error: Exception) -> object:
            return ("method", error)

        def __call__(self, error: Exception) -> object:
            return ("object", error)

    def positional(error: Exception, /, other: int = 3) -> object:
        return (error, other)

    functions: list[tuple[Any, object]] = [
        (lambda e: e, error),
        (lambda e, other=2: (e, other), (error, 2)),
        (positional, (error, 3)),
        (functools.partial(lambda a, e: (a, e), 1), (1, error)),
        (Method().answer, ("method", error)),
        (Method(), ("object", error)),
        (lambda: "none", "none"),
        (lambda rid=7: rid, 7),
        (lambda *args: args, ()),
        (lambda **kwargs: kwargs, {}),
        (lambda *, key=1: key, 1),
        (dict, {}),
        (list, []),
        (str, ""),
    ]
    for function, answer in functions:
        assert both.call(failing(both, error, fallback_function=function), 1, x=2) == answer


def test_a_function_gets_the_arguments_if_told(both: Both) -> None:
    """With `with_arguments=True` it is called like the function itself (F2)."""
    seen: list[object] = []

    def archive(key: int, *more: int, lang: str = "en") -> str:
        seen.append((key, more, lang))
        return f"archive {key}"

    @fallback(fallback_function=archive, with_arguments=True)
    @both.wrap
    def load(key: int, *more: int, lang: str = "en") -> str:
        raise Down

    assert both.call(load, 1) == "archive 1"
    assert both.call(load, 2, 3, lang="de") == "archive 2"
    assert seen == [(1, (), "en"), (2, (3,), "de")]


def test_the_best_answer_comes_first(both: Both) -> None:
    """Service, then function, then value, in whatever order they are written (F1)."""
    options: dict[str, Any] = {
        "fallback_value": "value",
        "fallback_function": lambda: "function",
        "fallback_service": lambda *_, **__: "service",
    }
    for expected in ("service", "function", "value"):
        assert both.call(failing(both, Down(), **options), 1) == expected
        del options[f"fallback_{expected}"]


def test_what_fails_is_passed_over(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    """A source that fails is passed over and heard of once; the next one answers (F1; peers: error swallowed)."""
    asked: list[str] = []

    def source(name: str, error: type[Exception]) -> Callable[..., Any]:
        def ask(*_: object, **__: object) -> Any:
            asked.append(name)
            raise error("secret")

        return ask

    call = failing(
        both,
        Down("hush"),
        fallback_service=[source("s1", OSError), source("s2", OSError)],
        fallback_function=[source("f1", KeyError), source("f2", OSError)],
        fallback_value="value",
        name="load",
    )
    for _ in range(2):
        assert both.call(call) == "value"
    assert asked == ["s1", "s2", "f1", "f2"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        f"fallback {kind} of load failed with {error}; the next one is asked, and this is logged only once"
        for kind, error in (("service", "OSError"), ("function", "KeyError"), ("function", "OSError"))
    ]
    assert {(record.name, record.levelno) for record in caplog.records} == {("recoup", logging.WARNING)}
    assert "secret" not in caplog.text


def test_the_last_one_surfaces_its_own_error(both: Both) -> None:
    """If the last source fails its error is raised, caused by that of the call (F1)."""
    error, own = Down("first"), LookupError("no archive")

    def raising() -> Any:
        raise own

    def other() -> Any:
        raise OSError

    for options in (
        {"fallback_function": raising},
        {"fallback_service": other, "fallback_function": [other, raising]},
        {"fallback_service": [other, raising]},
    ):
        own.__cause__ = None
        with pytest.raises(LookupError, match="no archive") as caught:
            both.call(failing(both, error, **options))
        assert caught.value is own
        assert own.__cause__ is error
        assert error.__context__ is None


def test_a_cause_of_its_own_stays(both: Both) -> None:
    """What the user chained stays chained; the error of the call is its context all the same (G3)."""

    def raising() -> Any:
        raise LookupError from KeyError("own cause")

    error = Down()
    with pytest.raises(LookupError) as caught:
        both.call(failing(both, error, fallback_function=raising))
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__context__ is error


def test_a_function_may_raise_the_error_again(both: Both) -> None:
    """Then that comes out itself, and is not its own cause (F1, G3)."""
    error = Down("x")

    def again(error: Exception) -> Any:
        raise error

    with pytest.raises(Down) as caught:
        both.call(failing(both, error, fallback_function=again))
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None


def test_an_error_that_is_not_answered_comes_out_itself(both: Both) -> None:
    """Same object, no context, no note (G3)."""
    error = LookupError("x")
    with pytest.raises(LookupError) as caught:
        both.call(failing(both, error, fallback_value=1, on=Down))
    assert caught.value is error
    assert error.__context__ is None
    assert not hasattr(error, "__notes__")


ANSWERED: list[tuple[dict[str, Any], BaseException, bool]] = [
    ({}, Down(), True),
    ({}, TimeoutError(), True),
    ({}, CircuitBreakerError(name="c", wait_time=1), True),
    ({}, BulkheadFullError(name="b", max_concurrent=1, max_queue_size=0), True),
    ({}, DeadlineExceeded(seconds=1, started=False), True),
    ({"on": Down}, Down(), True),
    ({"on": Down}, LookupError(), False),
    ({"on": [OSError, Down]}, ConnectionError(), True),
    ({"on": []}, Down(), False),
    ({"on": []}, TimeoutError(), True),
    ({"on": Down}, TimeoutError(), True),
    ({"on": Down}, DeadlineExceeded(seconds=1, started=True), True),
    ({"on": Down}, CircuitBreakerError(name="c", wait_time=1), False),
    ({"on": CircuitBreakerError}, CircuitBreakerError(name="c", wait_time=1), True),
    ({"on": Down}, BulkheadFullError(name="b", max_concurrent=1, max_queue_size=0), False),
    ({"on": TimeoutError}, BulkheadFullError(name="b", max_concurrent=1, max_queue_size=0), True),
    ({"fallback_on_timeout": False}, TimeoutError(), False),
    ({"fallback_on_timeout": False}, DeadlineExceeded(seconds=1, started=True), False),
    ({"fallback_on_timeout": False, "on": TimeoutError}, TimeoutError(), False),
    ({"fallback_on_timeout": False}, BulkheadFullError(name="b", max_concurrent=1, max_queue_size=0), True),
    ({"fallback_on_timeout": False}, Down(), True),
    ({"skip_on": Down}, Down(), False),
    ({"skip_on": LookupError, "on": LookupError}, KeyError(), False),
    ({"skip_on": TimeoutError}, TimeoutError(), False),
    ({"skip_on": CircuitBreakerError}, CircuitBreakerError(name="c", wait_time=1), False),
    ({"skip_on": lambda error: "refused" in str(error)}, CircuitBreakerError(name="c", wait_time=1), False),
    ({"skip_on": LookupError}, Down(), True),
    ({"on": lambda error: "x" in str(error)}, Down("x"), True),
    ({"on": lambda error: "x" in str(error)}, Down("y"), False),
    ({"on": when(OSError) & ~when(ConnectionError)}, ConnectionError(), False),
    ({"on": when(OSError) & ~when(ConnectionError)}, PermissionError(), True),
    ({"on": Down}, ExceptionGroup("g", [Down(), ExceptionGroup("h", [Down()])]), True),
    ({"on": Down}, ExceptionGroup("g", [Down(), LookupError()]), False),
    ({"on": Down}, ExceptionGroup("g", [Down(), TimeoutError()]), True),
    ({"on": Down, "fallback_on_timeout": False}, ExceptionGroup("g", [Down(), TimeoutError()]), False),
    ({"skip_on": KeyError}, ExceptionGroup("g", [Down(), KeyError()]), False),
    ({}, ExceptionGroup("g", [Down(), LookupError()]), True),
]


@pytest.mark.parametrize(("options", "error", "answered"), ANSWERED)
def test_which_errors_are_answered(both: Both, options: dict[str, Any], error: Exception, answered: bool) -> None:
    """`skip_on` beats all, `fallback_on_timeout` decides for timeouts, refusals are errors like any other (F4, G4)."""
    call = failing(both, error, fallback_value="answer", **options)
    if answered:
        assert both.call(call) == "answer"
    else:
        with pytest.raises(type(error)) as caught:
            both.call(call)
        assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_is_never_answered(both: Both, error: type[BaseException]) -> None:
    """It passes, from the call and from a fallback (G2)."""

    def control() -> Any:
        raise error

    first = failing(both, error(), fallback_value=1)
    second = failing(both, Down(), fallback_function=control, fallback_value=1)
    for call in (first, second):
        begin = call().send if both.is_async else lambda _, call=call: call()
        with pytest.raises(error):
            begin(None)  # by hand: an event loop has its own ways with control flow


def test_an_error_in_a_predicate_comes_out(both: Both) -> None:
    """A predicate that raises is a fault of the program (G4)."""

    def predicate(error: Exception) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        both.call(failing(both, Down(), fallback_value=1, on=predicate))


async def answer_later(error: Exception) -> str:
    return f"later {error}"


async def call_later(*args: object) -> str:
    return f"service {args}"


def unseen_answer(error: Exception) -> Any:
    return answer_later(error)


def unseen_call(*args: object) -> Any:
    return call_later(*args)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_async_sources_are_awaited(library: str) -> None:
    """In async code an async function or service is awaited, known as async or not (F2; peers: un-awaited answer)."""
    both = Both(library)
    for options, answer in (
        ({"fallback_function": answer_later}, "later x"),
        ({"fallback_function": unseen_answer}, "later x"),
        ({"fallback_function": functools.partial(answer_later)}, "later x"),
        ({"fallback_service": call_later}, "service (1,)"),
        ({"fallback_service": unseen_call}, "service (1,)"),
    ):
        assert both.call(failing(both, Down("x"), **options), 1) == answer
        assert both.execute(Fallback(FallbackConfig(**options)), both.wrap(raise_down), 1) == answer


def str_of(error: Exception) -> str:
    return str(error)


def raise_down(*args: object) -> Any:
    raise Down("x")


def test_async_sources_are_refused_for_plain_functions() -> None:
    """At decoration, with what to do instead; never an un-awaited coroutine (F2, G9)."""
    for options, named in (
        ({"fallback_function": answer_later}, "fallback_function"),
        ({"fallback_function": [len, functools.partial(answer_later)]}, "fallback_function"),
        ({"fallback_service": ["https://x", call_later]}, "fallback_service"),
    ):
        layer = Fallback(FallbackConfig(**options))
        with pytest.raises(
            TypeError, match=f"{named} of fallback is an async function, but 'raise_down' is synchronous"
        ):
            layer(raise_down)
        with pytest.raises(TypeError, match="is an async function, but"):
            layer.execute_sync(raise_down)


def test_what_turns_out_to_be_async_is_an_error() -> None:
    """A plain function that returns a coroutine all the same fails like any source; the coroutine is closed (F2)."""
    with pytest.raises(
        TypeError, match=r"returned something to await \(coroutine\), which a synchronous call"
    ) as caught:
        fallback(fallback_function=unseen_answer)(raise_down)()
    assert isinstance(caught.value.__cause__, Down)

    class Awaitable_:  # noqa: N801 - an awaitable object
        def __await__(self) -> Any:
            yield

    with pytest.raises(TypeError, match=r"something to await \(.*Awaitable_\)"):
        fallback(fallback_function=Awaitable_)(raise_down)()
    assert fallback(fallback_function=unseen_answer, fallback_value=1)(raise_down)() == 1


def test_methods_of_every_kind(both: Both) -> None:
    """Methods, class methods and static methods keep their first argument, also towards a service (G5)."""

    class Client:
        def __init__(self, base: str) -> None:
            self.base = base

        def archive(self, key: str) -> str:
            return f"{self.base} archive {key}"

        @fallback(fallback_service=archive)
        def get(self, key: str) -> str:
            raise Down

        @fallback(fallback_service=archive)
        async def get_later(self, key: str) -> str:
            raise Down

        @classmethod
        @fallback(fallback_service=lambda cls, key: (cls.__name__, key))
        def make(cls, key: str) -> Any:
            raise Down

        @fallback(fallback_value="static")
        @staticmethod
        def static() -> str:
            raise Down

    client = Client("a")
    assert both.call(client.get_later if both.is_async else client.get, "x") == "a archive x"
    assert Client.make("x") == client.make("x") == ("Client", "x")
    assert Client.static() == client.static() == "static"


def test_switched_off(both: Both) -> None:
    """With recovery switched off errors come out themselves (G16)."""
    error = Down()
    call = failing(both, error, fallback_value=1)
    with disabled(), pytest.raises(Down) as caught:
        both.call(call)
    assert caught.value is error
    assert both.call(call) == 1


def test_listeners_are_told_who_answered(both: Both) -> None:
    """An event names the source and the type of the error that was answered (G10)."""
    seen: list[events.Event] = []
    with subscribe(seen.append):
        for options in (
            {"fallback_value": 1},
            {"fallback_function": lambda: 1},
            {"fallback_service": lambda: 1},
        ):
            both.call(failing(both, Down("secret"), name="load", **options))
        with contextlib.suppress(OSError):
            both.call(failing(both, Down(), name="load", fallback_function=raise_os_error))
    assert seen == [events.FallbackUsed("load", source, "Down") for source in ("value", "function", "service")]


def raise_os_error() -> None:
    raise OSError


def test_no_cycle_keeps_a_failed_call_alive(both: Both) -> None:
    """What was in the frames of a failed call goes with its error, answered or not, without the collector (G11)."""

    class Local:
        pass

    def attempt(**options: Any) -> None:
        @both.wrap
        def call() -> None:
            local = Local()
            watches.append(ref(local))
            raise Down

        with contextlib.suppress(Down, OSError):
            both.call(fallback(**options)(call))

    watches: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        attempt(fallback_value=1)
        attempt(fallback_value=1, skip_on=Down)
        attempt(fallback_function=raise_os_error)
        attempt(fallback_function=raise_os_error, fallback_value=1)
        if both.is_async:
            gc.collect()  # the event loop has cycles of its own
        assert [watch() for watch in watches] == [None] * 4
    finally:
        gc.enable()


def test_a_function_that_raises_again_leaves_no_cycle_of_ours() -> None:
    """A function without parameters that raises the error it finds leaves it to nobody (G11)."""

    class Local:
        pass

    import sys

    def again() -> Any:
        raise sys.exception()  # type: ignore[misc]  # there is one

    @fallback(fallback_function=again)
    def call() -> None:
        local = Local()
        watches.append(ref(local))
        raise Down

    watches: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(Down):
            call()
        assert watches[0]() is None
    finally:
        gc.enable()


def test_execute_runs_any_callable(both: Both) -> None:
    """The executor answers like the decorator (issue, Decorators first)."""
    layer = Fallback(FallbackConfig(fallback_function=str_of))
    assert both.execute(layer, both.wrap(raise_down)) == "x"
    assert both.execute(layer, both.wrap(lambda a: a), 5) == 5


def test_a_plain_function_that_returns_a_coroutine() -> None:
    """Its failure is answered when it is awaited (G5)."""

    async def fetch(key: int) -> int:
        if key:
            raise Down
        return key

    @fallback(fallback_value="answer", use_cache=True)
    def load(key: int) -> Any:
        return fetch(key)

    both = Both("asyncio")
    assert both.run(load, 0) == 0
    assert both.run(load, 1) == "answer"
