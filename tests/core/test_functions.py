"""When two functions are the same function (contract: by code and closure values; Example 1 makes one per call)."""

from __future__ import annotations

import functools as tools
import gc
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from recoup._core import functions
from recoup._core.frozen import Unkeyable
from recoup._core.functions import Function, function_key, known, learn


def make(url: object) -> Callable[..., Any]:
    def request() -> object:
        return url

    return request


def test_closures_are_told_apart_by_what_they_close_over() -> None:
    """A closure made anew for each call is the same function exactly if its values are (contract, Example 1)."""
    assert function_key(make("/a")) is function_key(make("/a"))
    assert function_key(make("/a")) is not function_key(make("/b"))
    assert function_key(make(1)) is not function_key(make(True))
    assert function_key(make({"a": [1]})) is function_key(make({"a": [1]}))


def test_lambdas_on_one_line_are_told_apart() -> None:
    """Neither name nor line makes a function: the code does."""
    one, other = (lambda: 1), (lambda: 2)
    assert function_key(one) is not function_key(other)


def test_a_loop_variable_is_looked_at_when_it_is_called() -> None:
    """Closures that share one variable are told apart by its value when each is first seen."""
    seen = []
    for url in ("a", "b", "a"):

        def request() -> str:
            return url  # noqa: B023 - the case

        seen.append(function_key(request))
    assert seen[0] is seen[2]
    assert seen[0] is not seen[1]


def test_a_function_that_changes_its_own_variables_stays_the_same() -> None:
    """The same object is the same function, whatever its closure holds by now."""
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    first = function_key(count)
    count()
    assert function_key(count) is first


def test_defaults_belong_to_a_function() -> None:
    """`def request(url=url)` binds a value as a closure does."""

    def bound(url: object, *, timeout: object) -> Callable[..., Any]:
        def request(url: object = url, *, timeout: object = timeout) -> object:
            return url, timeout

        return request

    assert function_key(bound(1, timeout=2)) is function_key(bound(1, timeout=2))
    assert function_key(bound(1, timeout=2)) is not function_key(bound(1, timeout=3))
    assert function_key(bound(1, timeout=2)) is not function_key(bound(2, timeout=2))


def test_modules_are_told_apart() -> None:
    """The same text in two modules is two functions: their globals differ."""
    source = "def fetch(): return HOST"
    one: dict[str, Any] = {"HOST": "a"}
    other: dict[str, Any] = {"HOST": "a"}
    exec(source, one)  # noqa: S102 - two modules with the same text
    exec(source, other)  # noqa: S102 - as above
    assert one["fetch"].__code__ == other["fetch"].__code__
    assert function_key(one["fetch"]) is not function_key(other["fetch"])


def test_functions_inside_a_closure_are_compared_the_same_way() -> None:
    """A wrapper made for one call is the same if what it wraps is."""

    def wrapped(inner: Callable[..., Any]) -> Callable[..., Any]:
        @tools.wraps(inner)
        def wrapper() -> Any:
            return inner()

        return wrapper

    assert function_key(wrapped(make("/a"))) is function_key(wrapped(make("/a")))
    assert function_key(wrapped(make("/a"))) is not function_key(wrapped(make("/b")))
    assert function_key(wrapped(tools.partial(make, "/a"))) is function_key(wrapped(tools.partial(make, "/a")))


def recursive(step: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def even(number: int) -> bool:
        return number == 0 or odd(number - step)

    def odd(number: int) -> bool:
        return number != 0 and even(number - step)

    return even, odd


def test_functions_that_close_over_one_another() -> None:
    """Recursion ends, and what a part of it means elsewhere is not taken for the whole."""
    (even, odd), (other_even, other_odd) = recursive(1), recursive(2)
    assert function_key(even) is not function_key(other_even)
    assert function_key(odd) is not function_key(other_odd)
    assert function_key(recursive(1)[0]) is function_key(recursive(1)[0])

    def itself(number: int) -> int:
        return itself(number)

    assert function_key(itself) is function_key(itself)


def test_a_variable_that_is_not_bound_yet() -> None:
    """With nothing to compare, a function equals only itself; and not what it would be later."""

    def late() -> list[Callable[..., Any]]:
        def one() -> Any:
            return url

        def other() -> Any:
            return url

        found = [function_key(one), function_key(other), function_key(one)]
        url = "/a"
        return [*found, url]  # type: ignore[list-item]

    one, other, again, _ = late()
    assert one is again
    assert one is not other


def test_what_cannot_be_compared_in_a_closure() -> None:
    """A closure over something without a hash is the same function only as the same object."""
    request = make(SimpleNamespace())
    assert function_key(request) is function_key(request)
    assert function_key(request) is not function_key(make(SimpleNamespace()))


class Client:
    def __init__(self, base: str) -> None:
        self.base = base

    def get(self, path: str, /, retries: int = 1) -> str:
        return self.base + path * retries

    def __call__(self, path: str) -> str:
        return self.base + path


def test_bound_methods_partials_and_objects() -> None:
    """A bound method is its function and its instance; a partial its function and its arguments; an object itself."""
    client, other = Client("a"), Client("b")
    assert function_key(client.get) is function_key(client.get)
    assert function_key(client.get) is not function_key(other.get)
    assert function_key(client) is function_key(client)
    assert function_key(client) is not function_key(other)
    assert function_key(len) is function_key(len)
    assert function_key(len) is not function_key(sum)

    def partial(path: Any) -> Any:
        return tools.partial(client.get, path, retries=2)

    assert function_key(partial("/a")) is function_key(partial("/a"))
    assert function_key(partial("/a")) is not function_key(partial("/b"))
    with pytest.raises(Unkeyable, match="SimpleNamespace"):
        function_key(partial(SimpleNamespace()))


def test_functions_are_not_kept_alive() -> None:
    """What stands for a function goes with it and with the keys that hold it: closures for each call are no leak."""
    gc.collect()
    before = len(functions._functions)
    request = make("/leak")
    watch = ref(request)
    stands = function_key(request)
    assert len(functions._functions) == before + 1
    del request, stands
    gc.collect()
    assert watch() is None
    assert len(functions._functions) == before


def test_functions_with_the_same_hash() -> None:
    """Two functions whose parts have one hash stay two; the second shares with nobody, which costs calls at worst."""

    class Same:
        def __init__(self, name: str) -> None:
            self.name = name

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same) and self.name == other.name

        def __hash__(self) -> int:
            return 1

    one, other = make(Same("a")), make(Same("b"))
    first, second = function_key(one), function_key(other)
    assert first is not second
    assert function_key(make(Same("a"))) is first
    assert function_key(other) is second


def test_many_threads_see_a_function_first() -> None:
    """Threads that ask about a new closure at the same time all get the same answer (G7)."""

    for turn in range(20):
        start = threading.Barrier(8)
        found: list[Any] = []

        def ask(turn: int = turn, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            found.append(function_key(make(turn)))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1


def test_a_function_that_is_interned_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two threads that make the same function's key at once, both go on with the first (G7)."""
    request = make("/raced")
    real, first = functions._lock, []

    class Raced:
        def __enter__(self) -> None:
            monkeypatch.setattr(functions, "_lock", real)
            first.append(function_key(make("/raced")))

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(functions, "_lock", Raced())
    assert function_key(request) is first[0]


def same_after(make: Callable[[], Callable[[], Any]]) -> bool:
    """Tell whether a closure is known again after an earlier one of the same making was called."""
    first = make()
    assert not known(first)
    seen = function_key(first)
    assert known(first)
    first()
    learn(first, seen)
    assert function_key(first) is seen, "the same object is the same function"
    return function_key(make()) is seen


seen: list[int] = []
counts: dict[str, int] = {}


def appending(url: str = "/a", seen: list[int] = seen) -> Callable[[], Any]:
    def request() -> str:
        seen.append(1)
        return url

    return request


def counting(counts: dict[str, int] = counts) -> Callable[[], Any]:
    def request() -> None:
        counts["all"] = counts.get("all", 0) + 1

    return request


def binders() -> Callable[[], Callable[[], Any]]:
    number = 0

    def binding() -> Callable[[], Any]:
        def request() -> int:
            nonlocal number
            number += 1
            return number

        return request

    return binding


def wrapping() -> Callable[[], Any]:
    inner = appending("/wrapped")

    @tools.wraps(inner)
    def wrapper() -> Any:
        return inner()

    return wrapper


@pytest.mark.parametrize("make", [appending, counting, binders(), wrapping])
def test_what_a_call_changes_itself_is_no_input(make: Callable[[], Callable[[], Any]]) -> None:
    """A list that it appends to, a dict that it stores into, a variable that it binds: its memory (contract)."""
    assert same_after(make)
    held = function_key(make())
    make()()
    assert function_key(make()) is held, "once learnt it is known"


def test_input_beside_memory_still_counts() -> None:
    """Endpoints are told apart, whatever else a closure holds (contract, Example 1)."""
    assert same_after(appending)
    assert function_key(appending("/a")) is not function_key(appending("/b"))


def test_another_memory_is_another_function() -> None:
    """What is memory is compared by identity: two lists are two functions."""

    def appending(seen: list[int]) -> Callable[[], Any]:
        def request() -> None:
            seen.append(1)

        return request

    one: list[int] = []
    assert same_after(lambda: appending(one))
    assert function_key(appending(one)) is function_key(appending(one))
    assert function_key(appending(one)) is not function_key(appending([1]))


def test_what_the_program_changes_between_calls_is_input() -> None:
    """A dict that is changed page by page tells calls apart, and so does a variable that others bind."""
    params = {"page": 1}
    url = "/a"

    def make() -> Callable[[], Any]:
        def request() -> Any:
            return url, params["page"]

        return request

    first = make()
    seen = function_key(first)
    first()
    learn(first, seen)
    params["page"] = 2
    assert function_key(make()) is not seen
    params["page"] = 1
    assert function_key(make()) is seen
    url = "/b"
    assert function_key(make()) is not seen


def test_a_variable_that_others_bind_meanwhile_is_input() -> None:
    """Only what the function binds itself is its memory: others may go on while it waits."""
    url = "/a"

    def make() -> Callable[[], Any]:
        def request() -> str:
            return url

        return request

    first = make()
    seen = function_key(first)
    url = "/b"  # while it runs
    learn(first, seen)
    assert function_key(make()) is not seen


def test_learning_never_fails_a_call() -> None:
    """An error in a comparison, or a variable that is gone, teaches nothing."""

    class Broken:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        def __hash__(self) -> int:
            return 1

    def make(value: object) -> Callable[[], Any]:
        def request() -> object:
            nonlocal value
            value = Broken()
            return value

        return request

    first = make(Broken())
    seen = function_key(first)
    first()
    learn(first, seen)
    learn(len, Function(("object", len)))
    learn(tools.partial(len), function_key(tools.partial(len)))
    identical = make(SimpleNamespace())
    seen = function_key(identical)
    learn(identical, seen)
    assert function_key(identical) is seen


def test_two_closures_that_are_seen_before_either_returns() -> None:
    """What is known already stays known: the second one, seen before anything was learnt, joins nobody (F6)."""
    seen: list[int] = []

    def make() -> Callable[[], Any]:
        def request() -> None:
            seen.append(1)

        return request

    one = make()
    first = function_key(one)
    one()
    other = make()
    second = function_key(other)
    assert second is not first
    learn(one, first)
    other()
    learn(other, second)
    assert function_key(make()) is first
    assert function_key(other) is second


def test_a_forked_child_has_a_lock_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that the child does not have may hold the lock (G18)."""
    monkeypatch.setattr(functions, "_lock", threading.RLock())
    taken, end = threading.Event(), threading.Event()

    def hold() -> None:
        with functions._lock:
            taken.set()
            end.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(5)
    held = functions._lock
    functions._after_fork()  # what the interpreter calls in the child
    assert functions._lock is not held
    assert function_key(lambda: thread).parts
    end.set()
    thread.join()
