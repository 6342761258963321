"""A pump with the user's own parameters is the same pump (house rule 3)."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import traceback
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recoup._core import shape
from tests.core import shape_pumps as pumps
from tests.core.shape_users import Again, calls, is_shaped, outcome, shapely, signatures, user, users

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

pytestmark = pytest.mark.usefixtures("shaping_on")


def test_every_calling_convention() -> None:
    """A shaped pump takes what the function takes, refuses what it refuses, and gives what the plain pump gives."""
    colours = {
        "user": pumps.retrying,
        "user_async": pumps.retrying_async,
        "stream": pumps.streaming,
        "stream_async": pumps.streaming_async,
    }
    seen: set[bool] = set()

    @settings(max_examples=150, deadline=None)
    @given(signatures(), calls, st.integers(0, 2))
    @example("a, /, b=1, *args, error, fn=2, **kwargs", ([1, 2, 3], {"error": 4, "other": 5}), 1)
    @example("a, /, **kwargs", ([1], {"a": 2}), 0)
    @example("told, error", ([1], {"error": 2}), 2)
    def check(signature: str, call: tuple[list[int], dict[str, int]], failures: int) -> None:
        for name, factory in colours.items():
            retried = failures if name.startswith("user") else 0
            bare, first, second = (
                users(signature)[name],
                users(signature, retried)[name],
                users(signature, retried)[name],
            )
            expected = outcome(bare, *call)
            assert outcome(shapely(factory, first, []), *call) == expected
            right = not isinstance(expected, tuple)
            seen.add(right)
            if right:
                assert outcome(factory(second, []), *call) == expected

    check()
    assert seen == {True, False}


@settings(max_examples=150, deadline=None)
@given(signatures(), calls, st.integers(0, 3), st.booleans())
@example("a, /, b=1, *args, error, fn=2, **kwargs", ([1, 2, 3], {"error": 4, "other": 5}), 3, True)
@example("a, b, *, fn", ([1], {"b": 2, "fn": 3}), 2, True)
def test_pumps_in_pumps(signature: str, call: tuple[list[int], dict[str, int]], depth: int, keeps: bool) -> None:
    """Nameless pumps inside, a plain one round them and others round that: callers see the function alone."""
    expected = outcome(users(signature)["user"], *call)
    function = users(signature)["user"]
    pump = function
    for _ in range(depth):
        pump = shape.build(pumps.retrying, function, pump, [], inside=True)
        assert is_shaped(pump, pumps.retrying)
    if keeps:
        pump = shape.build(pumps.keeping, function, pump, [], inside=True)
    pump = shape.build(pumps.retrying, function, pump, [])
    assert keeps or is_shaped(pump, pumps.retrying)
    assert outcome(pump, *call) == expected


def test_pumps_inside_share_their_code() -> None:
    """Functions of one shape have it in common, whatever their parameters are called, but for those called by name."""

    def first(a: int, *, key: int) -> None: ...
    def second(error: int, *, key: int) -> None: ...
    def other(error: int, *, fn: int) -> None: ...

    codes = [shape.build(pumps.retrying, each, each, [], inside=True).__code__ for each in (first, second, other)]
    assert codes[0] is codes[1]
    assert codes[0].co_varnames == ("0", "key", "error", "result")
    assert codes[2].co_varnames == ("0", "fn", "error", "result")
    assert codes[2].co_freevars == ("pump.fn", "told")


def test_what_is_kept() -> None:
    """The pump keeps name, docstring, file and lines; defaults and the name in errors are the function's."""
    plain, shaped = pumps.retrying(user, []), shape.build(pumps.retrying, user, user, [])
    for name in ("__name__", "__doc__", "__module__", "__globals__"):
        assert getattr(shaped, name) == getattr(plain, name)
    assert shaped.__qualname__ == user.__qualname__
    for name in ("co_filename", "co_firstlineno", "co_name", "co_qualname"):
        assert getattr(shaped.__code__, name) == getattr(plain.__code__, name)
    assert {line for *_, line in shaped.__code__.co_lines()} == {line for *_, line in plain.__code__.co_lines()}
    assert shaped.__defaults__ is user.__defaults__
    assert shaped.__kwdefaults__ is user.__kwdefaults__


def test_traceback() -> None:
    """A traceback shows the pump's real lines, and marks the very expressions that the plain pump's shows."""

    def shown(pump: Callable[..., Any]) -> str:
        with pytest.raises(ZeroDivisionError) as caught:
            pump(1, 0)
        return "".join(traceback.format_tb(caught.tb)[1:])

    shaped = shown(shape.build(pumps.retrying, user, user, []))
    assert "return fn(*args, **kwargs)" in shaped
    assert shaped == shown(pumps.retrying(user, []))


def lines(function: Callable[..., Any], *args: object) -> list[tuple[str, int]]:
    """Record what a line debugger sees of a call; it reads the variables each time, as debuggers do."""
    found: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        assert len(frame.f_locals) == len(set(frame.f_locals))
        found.append((event, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return found


def test_debugger() -> None:
    """Under a debugger the same lines run, and its writing back of variables by name mixes nothing up."""
    given_up: list[object] = []

    def confused(error: object, result: object, told: object, fn: object) -> object:
        given_up.append((error, result, told, fn))
        if len(given_up) % 2:
            raise Again
        return fn

    told: list[object] = []
    shaped = lines(shape.build(pumps.retrying, confused, confused, told), 1, 2, 3, 4)
    assert shaped == lines(pumps.retrying(confused, []), 1, 2, 3, 4)
    assert given_up == [(1, 2, 3, 4)] * 4
    assert [type(error) for error in told] == [Again]


@pytest.mark.parametrize("colliding", [False, True])
def test_renaming(colliding: bool) -> None:
    """Only a variable that has the name of a parameter is renamed."""

    def clear(a: int, b: int) -> None: ...
    def collides(error: int, fn: int) -> None: ...

    code = shapely(pumps.retrying, collides if colliding else clear, []).__code__
    if colliding:
        assert code.co_varnames == ("error", "fn", "pump.error", "result")
        assert code.co_freevars == ("pump.fn", "told")
    else:
        assert code.co_varnames == ("a", "b", "error", "result")
        assert code.co_freevars == ("fn", "told")


def test_hot_code() -> None:
    """A factory whose code the interpreter has specialised or instrumented is still recognised."""
    for count in range(2000):
        pumps.retrying(user, [])(count)

    def of_other_shape(a: int, b: int, c: int, d: int, e: int, f: int, g: int) -> None: ...

    seen: list[CodeType] = []
    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: seen.append(frame.f_code))
    try:
        pump = shape.build(pumps.retrying, of_other_shape, of_other_shape, [])
    finally:
        sys.settrace(before)
    assert pumps.retrying.__code__ in seen
    assert is_shaped(pump, pumps.retrying)


def test_threads() -> None:
    """Any number of threads build pumps of many shapes at the same time; what goes wrong in one is not remembered.

    (Parsing in several threads at once is a chance to go wrong, until 3.12.2: python/cpython#106905.)
    """
    shape._shaped.cache_clear()
    shape._source.cache_clear()
    parameters = [", ".join(["a", *(f"p{i}=0" for i in range(n))]) for n in range(12)]
    start, wrong = threading.Barrier(8), []

    def work() -> None:
        start.wait()
        for each in parameters:
            function = users(each, failures=1)["user"]
            if shape.build(pumps.retrying, function, function, [])(7)[0] != 7:
                wrong.append(each)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for each in parameters:
        shapely(pumps.retrying, users(each)["user"], [])


def test_deep_stack() -> None:
    """A decoration on the last frames of the stack works, and is shaped again when there is room."""
    shape._shaped.cache_clear()

    def deep() -> Callable[..., Any] | None:
        try:
            found = deep()
        except RecursionError:
            return None
        if found is None:
            with contextlib.suppress(RecursionError):
                found = shape.build(pumps.retrying, user, user, [])
        return found

    pump = deep()
    assert pump is not None
    assert not is_shaped(pump, pumps.retrying)
    assert pump(6, error=1) == 3
    shapely(pumps.retrying, user, [])


def test_bounded() -> None:
    """Functions made without end fill no memory: code is kept for a limited number of shapes."""
    for i in range(520):
        function = users(f"*, name_{i}")["user"]
        assert is_shaped(shape.build(pumps.retrying, function, function, []), pumps.retrying)
    assert shape._shaped.cache_info().currsize <= 512


def test_no_cycles() -> None:
    """A pump, its function and a failed call's arguments die without the garbage collector (G11)."""

    class Thing:
        """Something a weak reference can point at."""

    def fails(thing: Thing, error: object = None) -> None:
        raise ValueError

    gc.collect()
    gc.disable()
    try:
        pump, thing = shape.build(pumps.retrying, fails, fails, []), Thing()
        alive = [weakref.ref(pump), weakref.ref(thing), weakref.ref(fails)]
        with pytest.raises(ValueError, match=r"^$"):
            pump(thing)
        del pump, thing, fails
        assert [reference() for reference in alive] == [None, None, None]
    finally:
        gc.enable()
